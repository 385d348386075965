import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { Change } from "../../../src/host/changes.ts";
import { Host } from "../../../src/host/host.ts";
import type { DescriptorStore } from "../../../src/host/survival/journal.ts";
import type { Kernel } from "../../../src/kernel/kernel.ts";
import { toWireSnapshot, type WireSnapshot } from "../../../src/rpc/records.ts";
import { JournalFile, type JournalStorage } from "../../../src/service/journal-file.ts";
import type { NewRecord } from "../../../src/service/journal-records.ts";
import { TamperedKernel } from "../tampered-kernel.ts";

/** The process is dead: whatever it was at does not go on. */
export class Killed extends Error {}

/** What is around a process of the daemon: the kernel it runs on, and what outlives it. */
export interface Surroundings {
  readonly kernel: Kernel;
  readonly storages: readonly [JournalStorage, JournalStorage];
  /** The service manager's store, as the next process gets it. */
  openStore(): DescriptorStore;
  /** What listeners are told, in the same instant as the journal has it. */
  hear(changes: readonly Change[]): void;
  /** Ends the process, where the life is a process's. */
  kill(): void;
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
  readonly #surroundings: Surroundings;
  readonly #name = randomUUID();
  /** What listeners have not been told yet, and how much they have. */
  #untold: Change[] = [];
  #told = 0;
  #died: () => void = () => {};
  /** Settles when it is dead. */
  readonly death = new Promise<void>((resolve) => {
    this.#died = resolve;
  });

  readonly journal: JournalFile;

  /** `publish`: what comes of its changes, beside what is noted here. */
  constructor(
    surroundings: Surroundings,
    dies = Number.POSITIVE_INFINITY,
    publish: (journal: JournalFile) => (change: Change) => void = () => () => {},
  ) {
    this.#surroundings = surroundings;
    this.dies = dies;
    this.kernel = new TamperedKernel(surroundings.kernel);
    this.kernel.before = (call) => this.#step(call);
    this.kernel.after = (call) => this.#step(`${call} is made`);
    this.kernel.made = (call) => this.#survives(() => this.#step(`${call} is made`));
    this.kernel.queued = async (call) => {
      await this.queue(call);
      await this.#survives(() => {
        if (this.isDead) throw new Killed();
      });
    };
    const later = (flush: () => void) => setImmediate(() => this.#unlessDead(flush));
    const journal = new JournalFile([this.#storage(0), this.#storage(1)], later);
    this.journal = journal;
    const published = publish(journal);
    this.drop = (key) => {
      assert(journal.entries.has(key), key);
      journal.put(key, null);
    };
    this.host = new Host(this.kernel, {
      observer: (change) => {
        this.#untold.push(change);
        // Listeners know of it from when the journal does.
        const told = `${this.#name} ${this.#told + this.#untold.length};`;
        journal.behind(() => journal.put("told", told));
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
    this.#surroundings.kill();
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
    const storage = this.#surroundings.storages[index];
    return {
      read: () => storage.read(),
      clear: () => {
        this.#step("ftruncate");
        storage.clear();
      },
      append: (record) => {
        this.#step("write");
        const length = storage.append(record);
        this.#hear(record);
        this.#step("write is made");
        return length;
      },
    };
  }

  #unlessDead(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
    }
  }

  #hear(record: NewRecord): void {
    const bytes = Buffer.alloc(record.most);
    record.write(bytes, 0);
    const told = bytes.toString("latin1").matchAll(new RegExp(`${this.#name} (\\d+);`, "g"));
    for (const [, count] of told) {
      this.#surroundings.hear(this.#untold.splice(0, Number(count) - this.#told));
      this.#told = Math.max(this.#told, Number(count));
    }
  }

  #store(): DescriptorStore {
    const store = this.#surroundings.openStore();
    return {
      inherited: store.inherited,
      put: (name, fd) => {
        this.#step(`FDSTORE ${name}`);
        store.put(name, fd);
        this.#step(`FDSTORE ${name} is made`);
      },
      remove: async (name) => {
        await this.#survives(() => this.#step(`FDSTOREREMOVE ${name}`));
        await store.remove(name);
        await this.#survives(() => this.#step("BARRIER is made"));
      },
    };
  }
}
