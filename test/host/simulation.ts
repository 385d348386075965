import assert from "node:assert/strict";
import type { Change } from "../../src/host/changes.ts";
import { HostError } from "../../src/host/errors.ts";
import { Host, type HostOptions } from "../../src/host/host.ts";
import { Iommufd } from "../../src/kernel/iommufd.ts";
import { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import type { Range } from "../../src/ranges/range.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { TamperedKernel } from "./tampered-kernel.ts";

export const NIC = "0000:00:01.0";
export const DISK = "0000:00:02.0";
export const GPU = "0000:00:03.0";
export const AUDIO = "0000:00:04.0";

/** A region of a topology file. */
export interface TestRegion {
  readonly start: string;
  readonly last: string;
  readonly type: string;
}

/** Those devices, each with a region of its own, by which an IOAS's answer tells who is attached. */
export const OWN_REGIONS: ReadonlyMap<string, TestRegion> = new Map(
  [NIC, DISK, GPU, AUDIO].map((device, index) => [
    device,
    { start: `0x${index}0000`, last: `0x${index}ffff`, type: "reserved" },
  ]),
);

/** Of {@link OWN_REGIONS}. */
export const excludedBy = (device: string): RangeSet => setOf(...[OWN_REGIONS.get(device) ?? []].flat());

export const MSI: TestRegion = { start: "0xfee00000", last: "0xfeefffff", type: "msi" };

/** A device of a topology file; left out: vfio-pci behind "iommu0". */
export interface TestDevice {
  readonly device: string;
  readonly group?: number;
  readonly driver?: string | null;
  readonly iommu?: string;
  readonly regions?: readonly TestRegion[];
  readonly coherent?: boolean;
  readonly "isolated-msi"?: boolean;
  readonly pci?: object;
  readonly "numa-node"?: number;
  readonly "latency-ms"?: { bind?: number; attach?: number; detach?: number; close?: number };
}

export interface TestTopology {
  readonly devices: readonly TestDevice[];
  readonly kernel?: object;
  readonly iommus?: readonly object[];
}

/** What a host sees of its machine, where that is not all, or not the truth. */
export interface Sight {
  readonly isDeaf?: boolean;
  /** What every group's reserved_regions shows. */
  readonly shown?: string;
}

/** A host on a simulated machine, with every change that it tells of. */
export class Simulation {
  readonly machine: SimulatedKernel;
  /** What the host sees of the machine. */
  readonly kernel: TamperedKernel;
  readonly host: Host;
  readonly changes: Change[] = [];

  constructor(
    { devices, kernel = {}, iommus = [{ name: "iommu0" }] }: TestTopology,
    options: HostOptions = {},
    { isDeaf = false, shown }: Sight = {},
  ) {
    const topology = {
      kernel,
      iommus,
      devices: devices.map((device) => ({ driver: "vfio-pci", iommu: "iommu0", ...device })),
    };
    this.machine = new SimulatedKernel(parseTopology(topology));
    this.kernel = new TamperedKernel(this.machine);
    // As in a network namespace that hears no events.
    if (isDeaf) this.kernel.watchDevices = () => {};
    if (shown !== undefined) {
      this.kernel.readFile = (path) =>
        path.endsWith("/reserved_regions") ? shown : this.machine.readFile(path);
    }
    this.host = new Host(this.kernel, { observer: (change) => this.changes.push(change), ...options });
  }

  /** The names of the changes so far, with what they are about. */
  events(): string[] {
    return this.changes.map((change) =>
      [
        change.event,
        "device" in change ? change.device : [],
        "context" in change && !("device" in change) ? change.context : [],
        "ioas" in change ? change.ioas : [],
      ]
        .flat()
        .join(" "),
    );
  }

  openPaths(): string[] {
    return this.machine.openFds().map(({ path }) => path);
  }

  /** What the kernel says of an IOAS at this moment, past the host. */
  async actual(context: string, ioas: number): Promise<Range[]> {
    return [
      ...(await new Iommufd(this.machine, this.host.context(context).open().fd).iovaRanges(ioas)).ranges,
    ];
  }

  /** The host's own answer for an IOAS. */
  async allowed(context: string, ioas: number) {
    return this.host.allowed(this.host.ioas(context, ioas));
  }
}

/**
 * Asserts that what the host shows is what the machine has: descriptors, IO address spaces, and their answers, at
 * rest. `excludedBy`, where a test knows it, says what each device takes out, and so who is attached where. `isOthers`:
 * which descriptors of the machine are no concern of the host's.
 */
export async function assertModelEqualsKernel(
  { host, machine }: Pick<Simulation, "host" | "machine">,
  excludedBy?: (device: string) => RangeSet,
  isOthers: (fd: number) => boolean = () => false,
): Promise<void> {
  const shown: string[] = [];
  for (const context of host.contexts()) {
    if (context.isOpen) shown.push("/dev/iommu");
    const held = host.devicesIn(context);
    for (const { platform, vfio } of held) {
      shown.push(`/dev/vfio/devices/${platform.vfioDevice}`);
      if (vfio.eventfd !== null) shown.push("anon_inode:[eventfd]");
    }
    for (const ioas of context.ioases.values()) {
      const attached = held.filter((each) => each.ioas === ioas).map(({ platform }) => platform.device);
      assert.deepEqual([...ioas.devices].sort(), attached.sort());
      const actual = await new Iommufd(machine, context.open().fd).iovaRanges(ioas.id);
      const answered = await host.allowed(ioas);
      assert.deepEqual([...answered.ranges], [...actual.ranges]);
      assert.equal(answered.alignment, actual.alignment);
      if (!excludedBy) continue;
      const excluded = attached.reduce((all, device) => all.union(excludedBy(device)), RangeSet.EMPTY);
      assert.deepEqual([...actual.ranges], [...excluded.invert()]);
    }
    assert(held.every(({ ioas }) => ioas === null || context.ioases.get(ioas.id) === ioas));
  }
  const open = machine.openFds().filter(({ fd }) => !isOthers(fd));
  assert.deepEqual(open.map(({ path }) => path).sort(), shown.sort());
  assert.equal(host.mismatches, 0);
}

/** The error that a call is refused with. */
export async function refusal(call: () => unknown): Promise<HostError> {
  try {
    await call();
  } catch (error) {
    if (error instanceof HostError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: "the call was not refused" });
}

export function range(start: bigint, last: bigint): Range {
  return { start, last };
}

export function setOf(...regions: readonly TestRegion[]): RangeSet {
  return RangeSet.from(regions.map(({ start, last }) => range(BigInt(start), BigInt(last))));
}
