import assert from "node:assert/strict";
import { fold } from "../../../src/client/fold.ts";
import type { Change } from "../../../src/host/changes.ts";
import { Host } from "../../../src/host/host.ts";
import type { DescriptorStore } from "../../../src/host/survival/journal.ts";
import { SimulatedKernel } from "../../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../../src/kernel/simulated/topology.ts";
import { toWireEvent } from "../../../src/rpc/events.ts";
import { toWireSnapshot, type WireSnapshot } from "../../../src/rpc/records.ts";
import { JournalFile, type JournalStorage } from "../../../src/service/journal-file.ts";
import type { TestTopology } from "../simulation.ts";
import { TamperedKernel } from "../tampered-kernel.ts";

/** The process is dead: whatever it was at does not go on. */
export class Killed extends Error {}

/** Bytes that outlive a process. */
export class Memory implements JournalStorage {
  bytes = Buffer.alloc(0);

  read(): Buffer {
    return Buffer.from(this.bytes);
  }

  append(bytes: Buffer): void {
    this.bytes = Buffer.concat([this.bytes, bytes]);
  }

  clear(): void {
    this.bytes = Buffer.alloc(0);
  }
}

/** What outlives the daemon: a machine, and what the service manager keeps. */
export class World {
  readonly machine: SimulatedKernel;
  readonly storages: readonly [Memory, Memory] = [new Memory(), new Memory()];
  /** The machine's descriptors that are the service manager's own. */
  readonly stored: { readonly name: string; readonly fd: number }[] = [];
  /** What listeners were told, by whichever process, as far as it got to it. */
  readonly told: Change[] = [];

  constructor({ devices, kernel = {}, iommus = [{ name: "iommu0" }] }: TestTopology) {
    const withDefaults = devices.map((device) => ({ driver: "vfio-pci", iommu: "iommu0", ...device }));
    this.machine = new SimulatedKernel(parseTopology({ kernel, iommus, devices: withDefaults }));
  }

  /** The snapshot of a listener who had an earlier one, and has heard all that was told since. */
  folded(before: WireSnapshot): WireSnapshot {
    return this.told.reduce((state, change) => {
      const params = toWireEvent(change);
      return params ? fold(state, { method: change.event, params }) : state;
    }, before);
  }

  isStored(fd: number): boolean {
    return this.stored.some((each) => each.fd === fd);
  }

  /** The service manager loses what it has under the name. */
  async forget(name: string): Promise<void> {
    for (const kept of this.stored.filter((each) => each.name === name)) {
      this.stored.splice(this.stored.indexOf(kept), 1);
      await this.machine.close(kept.fd);
    }
  }

  /** What the kernel does with a process that is dead, when the calls it was in have ended. */
  async reap(): Promise<void> {
    await this.machine.shutdown();
    for (const { fd } of this.machine.openFds()) if (!this.isStored(fd)) await this.machine.close(fd);
  }
}

/** One process of the daemon, which may die between any two of its system calls. */
export class Life {
  readonly host: Host;
  readonly kernel: TamperedKernel;
  /** The system calls so far: before each and behind each it may die. */
  readonly steps: string[] = [];
  /** What a call off the loop waits for before it is made. */
  queue: (call: string) => Promise<void> = async () => {};
  /** The step before which it dies. */
  dies = Number.POSITIVE_INFINITY;
  /** Takes an entry out of the journal, as a fault would. */
  readonly drop: (key: string) => void;
  readonly #world: World;
  #untold: Change[] = [];
  #died: () => void = () => {};
  /** Settles when it is dead. */
  readonly death = new Promise<void>((resolve) => {
    this.#died = resolve;
  });

  readonly journal: JournalFile;

  /** `publish`: what comes of its changes, beside what is noted here. */
  constructor(
    world: World,
    dies = Number.POSITIVE_INFINITY,
    publish: (journal: JournalFile) => (change: Change) => void = () => () => {},
  ) {
    this.#world = world;
    this.dies = dies;
    this.kernel = new TamperedKernel(world.machine);
    this.kernel.before = (call) => this.#step(call);
    this.kernel.after = (call) => this.#step(`${call} is made`);
    this.kernel.made = (call) => this.#survives(() => this.#step(`${call} is made`));
    this.kernel.queued = async (call) => {
      await this.queue(call);
      await this.#survives(() => {
        if (this.isDead) throw new Killed();
      });
    };
    const journal = new JournalFile([this.#storage(0), this.#storage(1)]);
    this.journal = journal;
    const published = publish(journal);
    this.drop = (key) => {
      assert(journal.entries.has(key), key);
      journal.put(key, null);
    };
    this.host = new Host(this.kernel, {
      observer: (change) => {
        this.#untold.push(change);
        published(change);
      },
      journal,
      store: this.#store(),
    });
  }

  /** Whether it has died. */
  get isDead(): boolean {
    return this.steps.length >= this.dies;
  }

  snapshot(): WireSnapshot {
    return toWireSnapshot(this.host.snapshot());
  }

  /** Does something, for as long as the process lives. What it is refused is its answer. */
  async until<T>(call: () => Promise<T> | T): Promise<T | "killed"> {
    const answer = (async () => call())();
    answer.catch(() => undefined);
    const first = await Promise.race([
      answer.catch((error) => error),
      this.death.then(() => "killed" as const),
    ]);
    if (this.isDead || first instanceof Killed) return "killed";
    return answer;
  }

  #step(name: string): void {
    if (this.isDead) throw new Killed();
    this.steps.push(name);
    if (!this.isDead) return;
    this.#died();
    throw new Killed();
  }

  /** What was under way off the loop never comes back to a process that is dead. */
  async #survives(step: () => void): Promise<void> {
    try {
      step();
    } catch {
      await new Promise(() => {});
    }
  }

  #storage(index: 0 | 1): JournalStorage {
    const storage = this.#world.storages[index];
    return {
      read: () => storage.read(),
      clear: () => {
        this.#step("ftruncate");
        storage.clear();
      },
      append: (bytes) => {
        this.#step("write");
        storage.append(bytes);
        this.#world.told.push(...this.#untold.splice(0));
        this.#step("write is made");
      },
    };
  }

  #store(): DescriptorStore {
    const { machine, stored } = this.#world;
    const inherited = stored.map(({ name, fd }) => ({ name, fd: machine.duplicate(fd) }));
    return {
      inherited,
      put: (name, fd) => {
        this.#step(`FDSTORE ${name}`);
        stored.push({ name, fd: machine.duplicate(fd) });
        this.#step(`FDSTORE ${name} is made`);
      },
      remove: async (name) => {
        await this.#survives(() => this.#step(`FDSTOREREMOVE ${name}`));
        await this.#world.forget(name);
        await this.#survives(() => this.#step("BARRIER is made"));
      },
    };
  }
}
