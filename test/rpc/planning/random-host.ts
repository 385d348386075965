import fc from "fast-check";
import { Iommufd, type IovaRanges } from "../../../src/kernel/iommufd.ts";
import { SystemCallError } from "../../../src/kernel/kernel.ts";
import { VfioDevice } from "../../../src/kernel/vfio.ts";
import { RangeSet } from "../../../src/ranges/range-set.ts";
import {
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_UNMAP,
  iommu_ioas_map,
  iommu_ioas_unmap,
} from "../../../src/uapi/iommufd.ts";
import { Client } from "./client.ts";

/** The last one is no PCI device. */
export const DEVICES = ["0000:01:00.0", "0000:01:00.1", "0000:02:00.0", "0000:03:00.0", "fe000000.dma"];

export interface LayoutWindow {
  readonly name: string;
  readonly start: bigint;
  readonly last: bigint;
  readonly required: boolean;
}

const PAGES = [4096, 16384, 65536];
/** Where windows and regions begin and end: where they matter to each other, and anywhere. */
const unit = fc.constantFrom(4096n, 65536n, 0x100000n);
const place = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.bigInt(0n, 48n), unit).map(([n, unit]) => n * unit) },
  { weight: 1, arbitrary: fc.bigInt(0n, 0xffffffffn) },
  { weight: 1, arbitrary: fc.constantFrom(0xfee00000n, 0x7ffff00000n, 0x8000000000n, 0xffffffffff000000n) },
);
const extent = fc.tuple(place, fc.bigInt(1n, 24n), unit).map(([start, n, unit]) => {
  const last = start + n * unit - 1n;
  return { start, last: last < 1n << 64n ? last : (1n << 64n) - 1n };
});
const rarely = fc.integer({ min: 0, max: 29 }).map((n) => n === 29);

/** Mostly one of the first. */
function mostly<T>(usual: readonly T[], rare: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof(
    { weight: 14, arbitrary: fc.constantFrom(...usual) },
    { weight: 1, arbitrary: fc.constantFrom(...rare) },
  );
}

const region = fc.record({
  where: extent,
  type: mostly(["msi", "reserved", "direct-relaxable"], ["direct"]),
});

const device = fc.record({
  group: fc.integer({ min: 0, max: 7 }),
  driver: mostly<string | null>(["vfio-pci"], ["nvme", "pci-stub", null]),
  regions: fc.array(region, { maxLength: 2 }),
  isIncoherent: rarely,
  lacksIsolatedMsi: rarely,
});

const iommu = fc.record({
  start: fc.constantFrom(0n, 0n, 0n, 0x10000n),
  last: fc.constantFrom(0x1ffffffn, 0x7fffffffffn, (1n << 48n) - 1n, (1n << 64n) - 1n),
  pageSize: mostly([4096, 512], [16384, 65536]),
  isLate: fc.boolean(),
});

const some = fc.subarray(DEVICES);

/**
 * What is there, and what happens before anybody asks: devices are probed, some get another driver afterwards, others
 * are taken by somebody outside the daemon, whom /proc shows or not, or by a client of the daemon.
 */
export const randomHost = fc.record({
  pageSize: fc.constantFrom(...PAGES),
  lacksCdevs: rarely,
  iommus: fc.tuple(iommu, iommu),
  devices: fc.tuple(...DEVICES.map(() => device)),
  probed: fc.oneof(fc.constant(DEVICES), some),
  rebound: fc.array(
    fc.record({
      device: fc.constantFrom(...DEVICES),
      driver: mostly<string | null>(["vfio-pci"], ["nvme", null]),
    }),
    { maxLength: 1 },
  ),
  outside: fc.subarray(DEVICES, { maxLength: 2 }),
  areSeen: fc.boolean(),
  held: fc.subarray(DEVICES, { maxLength: 2 }),
});
export type RandomHost = typeof randomHost extends fc.Arbitrary<infer T> ? T : never;

export const randomLayout: fc.Arbitrary<LayoutWindow[]> = fc.array(
  fc
    .tuple(extent, fc.integer({ min: 0, max: 4 }))
    .map(([where, n]) => ({ name: "window", ...where, required: n > 0 })),
  { minLength: 1, maxLength: 3 },
);

export const chosenDevices = fc.subarray(DEVICES, { minLength: 1, maxLength: 3 });

function topologyOf({ pageSize, lacksCdevs, iommus, devices }: RandomHost) {
  return {
    kernel: { "page-size": pageSize, "vfio-cdev": !lacksCdevs },
    iommus: iommus.map(({ start, last, pageSize, isLate }, i) => ({
      name: `iommu${i}`,
      aperture: { start: hex(start), last: hex(last) },
      "page-size": pageSize,
      "late-aperture": isLate,
    })),
    devices: devices.map(({ group, driver, regions, isIncoherent, lacksIsolatedMsi }, i) => ({
      device: DEVICES[i],
      group,
      iommu: `iommu${group % 2}`,
      driver: driver === "vfio-pci" && !isPci(DEVICES[i] as string) ? "vfio-platform" : driver,
      regions: regions.map(({ where, type }) => ({ start: hex(where.start), last: hex(where.last), type })),
      coherent: !isIncoherent,
      "isolated-msi": !lacksIsolatedMsi,
    })),
  };
}

/** A daemon on such a host, with everybody who has a device, and the kernel to try its promises on. */
export class TriedHost {
  readonly client: Client;
  readonly #outsiders: { close(): Promise<void> }[] = [];

  private constructor(client: Client) {
    this.client = client;
  }

  static async begin(given: RandomHost): Promise<TriedHost> {
    const tried = new TriedHost(new Client(topologyOf(given)));
    const { client } = tried;
    for (const device of given.probed) await client.attempt("probe-device", { device });
    for (const { device, driver } of given.rebound) {
      await client.kernel.setDriver(device, driver === "vfio-pci" && !isPci(device) ? null : driver);
    }
    // The kernel's events are heard by now.
    await new Promise(setImmediate);
    for (const device of given.outside) await tried.#takeOutside(device, given.areSeen);
    await client.ask("create-context", { context: "client" });
    const { ioas } = await client.ask("create-ioas", { context: "client" });
    for (const device of given.held) {
      await client.attempt("hold-device", { device, context: "client" });
      await client.attempt("attach-device", { device, ioas });
    }
    return tried;
  }

  /** Whoever has a device gives it back. */
  async empty(): Promise<void> {
    await this.client.ask("destroy-context", { context: "client" });
    for (const file of this.#outsiders.splice(0)) await file.close();
    this.client.kernel.fileUses.length = 0;
  }

  /**
   * Binds and attaches the devices to one new IOAS, allows the required windows there and maps each of them in full,
   * past the daemon. Resolves to what the IOAS then allows, and to the call that the kernel refused, if it did.
   */
  async attach(
    devices: readonly string[],
    layout: readonly LayoutWindow[] = [],
  ): Promise<{ readonly refused?: string; readonly answer?: IovaRanges }> {
    const { kernel } = this.client;
    const files: { close(): Promise<void> }[] = [];
    try {
      const iommufd = Iommufd.open(kernel);
      files.push(iommufd);
      const ioas = iommufd.allocIoas();
      for (const device of devices) {
        const vfio = this.#open(device);
        if (!vfio) return { refused: `${device} has no cdev` };
        files.push(vfio);
        await vfio.bind(iommufd.fd);
        await vfio.attach(ioas);
      }
      const answer = await iommufd.iovaRanges(ioas);
      const required = layout.filter((window) => window.required);
      if (required.length > 0) await iommufd.allowIovas(ioas, RangeSet.from(required));
      for (const window of required) this.#map(iommufd.fd, ioas, window);
      return { answer };
    } catch (error) {
      if (error instanceof SystemCallError) return { refused: error.message };
      throw error;
    } finally {
      for (const file of files.reverse()) await file.close();
    }
  }

  #open(device: string): VfioDevice | undefined {
    const found = this.client.host.platform.find(device);
    return found?.vfioDevice && found.cdev
      ? VfioDevice.open(this.client.kernel, found.vfioDevice)
      : undefined;
  }

  async #takeOutside(device: string, isSeen: boolean): Promise<void> {
    const { kernel } = this.client;
    const vfio = this.#open(device);
    if (!vfio) return;
    const iommufd = Iommufd.open(kernel);
    try {
      await vfio.bind(iommufd.fd);
    } catch {
      await vfio.close();
      await iommufd.close();
      return;
    }
    this.#outsiders.push(vfio, iommufd);
    // Of what is not PCI, sysfs does not tell that it is in use.
    if (!isSeen && isPci(device)) return;
    const path = kernel.openFds().find(({ fd }) => fd === vfio.fd)?.path as string;
    kernel.fileUses.push({ path, pid: 4711, uid: 107, command: "qemu" });
  }

  #map(iommufd: number, ioas_id: number, { start, last }: LayoutWindow): void {
    const { kernel } = this.client;
    const length = last - start + 1n;
    // The simulated kernel looks at the address of the memory only.
    const user_va = BigInt(PAGES[2] as number);
    const flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE;
    kernel.ioctl(
      iommufd,
      IOMMU_IOAS_MAP,
      iommu_ioas_map.encode({ flags, ioas_id, user_va, length, iova: start }),
    );
    kernel.ioctl(iommufd, IOMMU_IOAS_UNMAP, iommu_ioas_unmap.encode({ ioas_id, iova: start, length }));
  }
}

export function isPci(device: string): boolean {
  return device.startsWith("0000:");
}

export function hex(address: bigint): string {
  return `0x${address.toString(16)}`;
}
