import { fold } from "../../../src/client/fold.ts";
import type { Change } from "../../../src/host/changes.ts";
import type { DescriptorStore } from "../../../src/host/survival/journal.ts";
import { SimulatedKernel } from "../../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../../src/kernel/simulated/topology-file.ts";
import { toWireEvent } from "../../../src/rpc/events.ts";
import type { WireSnapshot } from "../../../src/rpc/records.ts";
import type { JournalStorage } from "../../../src/service/journal-file.ts";
import type { NewRecord } from "../../../src/service/journal-records.ts";
import type { TestTopology } from "../simulation.ts";
import type { Surroundings } from "./life.ts";

/** Bytes that outlive a process. */
export class Memory implements JournalStorage {
  bytes = Buffer.alloc(0);

  read(): Buffer {
    return Buffer.from(this.bytes);
  }

  append(record: NewRecord): number {
    const bytes = Buffer.alloc(record.most);
    const length = record.write(bytes, 0);
    this.bytes = Buffer.concat([this.bytes, bytes.subarray(0, length)]);
    return length;
  }

  clear(): void {
    this.bytes = Buffer.alloc(0);
  }
}

/** What outlives the daemon: a machine, and what the service manager keeps. */
export class World implements Surroundings {
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

  get kernel(): SimulatedKernel {
    return this.machine;
  }

  hear(changes: readonly Change[]): void {
    this.told.push(...changes);
  }

  /** What a life does from its death on comes to nothing, so that there is nothing to end. */
  kill(): void {}

  openStore(): DescriptorStore {
    const { machine, stored } = this;
    return {
      inherited: stored.map(({ name, fd }) => ({ name, fd: machine.duplicate(fd) })),
      put: (name, fd) => void stored.push({ name, fd: machine.duplicate(fd) }),
      remove: (name) => this.forget(name),
    };
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
