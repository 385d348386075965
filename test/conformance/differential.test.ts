import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { Kernel, Pointer } from "../../src/kernel/kernel.ts";
import { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology.ts";
import * as iommufd from "../../src/uapi/iommufd.ts";
import * as vfio from "../../src/uapi/vfio.ts";
import { cdevOf, DEVICES, kernelUnderTest, LAB, SIBLINGS } from "./kernel-under-test.ts";
import { outcome } from "./session.ts";

const U64_MAX = (1n << 64n) - 1n;
const ALL_DEVICES = [...DEVICES, ...SIBLINGS];
const RUNS = 100;

/** What a step does, in terms of "the n-th context" and "the n-th device", which each kernel has its own fds for. */
interface Step {
  /** What the counterexample shows. */
  readonly name: string;
  readonly on: "context" | "device";
  readonly index: number;
  readonly request: number | "close and open again";
  readonly argument?: Buffer;
  readonly pointer?: Pointer;
  /** BIND: the context whose descriptor goes into the struct. */
  readonly context?: number;
}

declare const WebAssembly: { Memory: new (pages: { initial: number }) => { buffer: ArrayBuffer } };

/** Page-aligned, as WebAssembly's memory is: where in its page memory begins shows in automatic addresses. */
const memory = new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer);

/** Addresses around what the devices reserve, what the IOMMU translates, and the ends of it all. */
const address = fc.constantFrom(
  ...[0n, 0x1000n, 0x1001n, 0x3000n, 0xfedff000n, 0xfee00000n, 0xfeefffffn, 0xfef00000n],
  ...[0x7ffffff000n, 0x7fffffffffn, 0x8000000000n, U64_MAX - 0xfffn, U64_MAX],
);
const range = fc
  .tuple(address, address)
  .map(([a, b]) => (a < b ? { start: a, last: b } : { start: b, last: a }));
/** Ids are few, so that most are of something; 9 is not. */
const id = fc.constantFrom(1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 7, 0, 9);
const context = fc.constantFrom(0, 0, 0, 0, 1);
const device = fc.nat(ALL_DEVICES.length - 1);

const onContext = (name: string, request: number, more: fc.Arbitrary<Partial<Step>>) =>
  fc.tuple(context, more).map(([index, rest]): Step => ({ name, on: "context", index, request, ...rest }));
const onDevice = (name: string, request: Step["request"], more: fc.Arbitrary<Partial<Step>>) =>
  fc.tuple(device, more).map(([index, rest]): Step => ({ name, on: "device", index, request, ...rest }));

const alloc = onContext(
  "IOAS_ALLOC",
  iommufd.IOMMU_IOAS_ALLOC,
  fc.constant(0).map(() => ({ argument: iommufd.iommu_ioas_alloc.encode() })),
);
const destroy = onContext(
  "DESTROY",
  iommufd.IOMMU_DESTROY,
  id.map((of) => ({ argument: iommufd.iommu_destroy.encode({ id: of }) })),
);
const iovaRanges = onContext(
  "IOVA_RANGES",
  iommufd.IOMMU_IOAS_IOVA_RANGES,
  fc.tuple(id, fc.nat(4)).map(([ioas_id, num_iovas]) => ({
    argument: iommufd.iommu_ioas_iova_ranges.encode({ ioas_id, num_iovas }),
    pointer: { offset: 16, target: Buffer.alloc(16 * num_iovas + 16, 0xa5) },
  })),
);
const allowIovas = onContext(
  "ALLOW_IOVAS",
  iommufd.IOMMU_IOAS_ALLOW_IOVAS,
  fc.tuple(id, fc.array(range, { maxLength: 3 })).map(([ioas_id, list]) => ({
    argument: iommufd.iommu_ioas_allow_iovas.encode({ ioas_id, num_iovas: list.length }),
    pointer: {
      offset: 16,
      target: Buffer.concat([iommufd.iommu_iova_range.encodeArray(list), Buffer.alloc(1)]),
    },
  })),
);
const map = onContext(
  "MAP",
  iommufd.IOMMU_IOAS_MAP,
  fc
    .tuple(id, address, fc.constantFrom(6, 7), fc.constantFrom(0x800n, 0x1000n, 0x2000n))
    .map(([ioas_id, iova, flags, length]) => ({
      argument: iommufd.iommu_ioas_map.encode({ ioas_id, iova, flags, length }),
      pointer: { offset: 16, target: memory },
    })),
);
const unmap = onContext(
  "UNMAP",
  iommufd.IOMMU_IOAS_UNMAP,
  fc
    .tuple(id, address, fc.constantFrom(0n, 0x800n, 0x1000n, 0x2000n, U64_MAX))
    .map(([ioas_id, iova, length]) => ({
      argument: iommufd.iommu_ioas_unmap.encode({ ioas_id, iova, length }),
    })),
);
const option = onContext(
  "OPTION",
  iommufd.IOMMU_OPTION,
  fc.tuple(id, fc.nat(2), fc.nat(2), fc.constantFrom(0n, 1n, 2n)).map(([of, option_id, op, val64]) => ({
    argument: iommufd.iommu_option.encode({ object_id: option_id === 0 ? 0 : of, option_id, op, val64 }),
  })),
);
const bind = onDevice(
  "BIND",
  vfio.VFIO_DEVICE_BIND_IOMMUFD,
  context.map((of) => ({ argument: vfio.vfio_device_bind_iommufd.encode(), context: of })),
);
const attach = onDevice(
  "ATTACH",
  vfio.VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  id.map((pt_id) => ({ argument: vfio.vfio_device_attach_iommufd_pt.encode({ pt_id }) })),
);
const detach = onDevice(
  "DETACH",
  vfio.VFIO_DEVICE_DETACH_IOMMUFD_PT,
  fc.constant(0).map(() => ({ argument: vfio.vfio_device_detach_iommufd_pt.encode() })),
);
const reopen = onDevice("reopen", "close and open again", fc.constant({}));

const step = fc.oneof(
  { weight: 3, arbitrary: alloc },
  { weight: 2, arbitrary: destroy },
  { weight: 4, arbitrary: iovaRanges },
  { weight: 3, arbitrary: allowIovas },
  { weight: 4, arbitrary: map },
  { weight: 3, arbitrary: unmap },
  { weight: 1, arbitrary: option },
  { weight: 4, arbitrary: bind },
  { weight: 12, arbitrary: attach },
  { weight: 3, arbitrary: detach },
  { weight: 1, arbitrary: reopen },
);

/** One kernel's two contexts and open devices. */
class Player {
  readonly #kernel: Kernel;
  readonly #fds: { context: number[]; device: number[] };

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#fds = {
      context: [kernel.open("/dev/iommu"), kernel.open("/dev/iommu")],
      device: ALL_DEVICES.map((name) => kernel.open(cdevOf(kernel, name))),
    };
  }

  async end(): Promise<void> {
    for (const fd of [...this.#fds.device, ...this.#fds.context]) await this.#kernel.close(fd);
  }

  /** What the step gives back: the errno and every byte, but for addresses and descriptors. */
  async play({ on, index, request, argument, pointer, context }: Step) {
    const fd = this.#fds[on][index] ?? -1;
    if (typeof request === "string" || argument === undefined) {
      await this.#kernel.close(fd);
      this.#fds[on][index] = this.#kernel.open(cdevOf(this.#kernel, ALL_DEVICES[index] ?? ""));
      return {};
    }
    const bytes = Buffer.from(argument);
    if (context !== undefined) bytes.writeInt32LE(this.#fds.context[context] ?? -1, 8);
    const pointers = pointer ? [pointer.target === memory ? pointer : copyOf(pointer)] : [];
    const code = await outcome(() => this.#kernel.ioctl(fd, request, bytes, ...pointers));
    if (pointer) bytes.fill(0, pointer.offset, pointer.offset + 8);
    if (context !== undefined) bytes.fill(0, 8, 12);
    return { code, bytes, pointers };
  }
}

const copyOf = ({ offset, target }: Pointer): Pointer => ({ offset, target: Buffer.from(target) });

const { kernel } = await kernelUnderTest();
afterAll(() => kernel.shutdown());

describe.skipIf(kernel.backend === "simulated")("Linux and the simulated kernel", () => {
  it(
    "give the same bytes and errno in any sequence of calls",
    () =>
      fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 40, maxLength: 80, size: "max" }), async (steps) => {
          const players = [new Player(kernel), new Player(new SimulatedKernel(parseTopology(LAB)))] as const;
          try {
            for (const each of steps) {
              const [real, simulated] = [await players[0].play(each), await players[1].play(each)];
              expect(simulated, each.name).toEqual(real);
            }
          } finally {
            for (const player of players) await player.end();
          }
        }),
        { numRuns: RUNS, endOnFailure: true },
      ),
    120_000,
  );
});
