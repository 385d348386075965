import fc from "fast-check";
import * as iommufd from "../../src/uapi/iommufd.ts";
import { IOMMU_TEST_OP_ADD_RESERVED, iommu_test_cmd } from "../../src/uapi/iommufd-test.ts";
import * as vfio from "../../src/uapi/vfio.ts";
import { DEVICES, SIBLINGS } from "../conformance/kernel-under-test.ts";
import { MSI_LAST, MSI_START, PAGE } from "../conformance/session.ts";

const U64_MAX = (1n << 64n) - 1n;
export const ALL_DEVICES = [...DEVICES, ...SIBLINGS];
export const CONTEXTS = 2;

/** One call, in terms of "the n-th context" and "the n-th device", which each kernel has its own descriptors for. */
export interface Step {
  /** What the counterexample shows. */
  readonly text: string;
  readonly on: "context" | "device";
  readonly index: number;
  readonly request: number | "close and open again";
  readonly argument: Buffer;
  /** What the word at this offset points to: bytes of the step's own, or `memory` to map. */
  readonly pointer?: { readonly offset: number; readonly target: Buffer | "memory" };
  /** BIND: the context whose descriptor goes into the struct. */
  readonly context?: number;
}

/** Where things change: what the devices reserve, what the IOMMUs translate, the ends of it all, unaligned ones. */
const EDGES = [
  ...[0n, PAGE, PAGE + 1n, 3n * PAGE, 0x100_0000n, MSI_START - PAGE, MSI_START, MSI_LAST + 1n],
  ...[
    0x80_0000_0000n - PAGE,
    0x80_0000_0000n,
    0xfd_0000_0000n,
    0x100_0000_0000n,
    0x8000_0000_0000n,
    0x1_0000_0000_0000n,
  ],
  ...[U64_MAX - PAGE + 1n, U64_MAX],
];
const address = fc.constantFrom(...EDGES);
/** Ends right before an edge, so that two of them touch, or on it. */
const range = fc
  .tuple(address, address, fc.nat(1))
  .map(([a, b, back]) => (a < b ? { start: a, last: b - BigInt(back) } : { start: b, last: a }));
/** Ids are few, so that most are of something; 9 is not. */
const id = fc.constantFrom(1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 7, 0, 9);
const context = fc.constantFrom(0, 0, 0, 0, 1);
const device = fc.nat(ALL_DEVICES.length - 1);

type Call = Pick<Step, "argument" | "pointer" | "context"> & { readonly what?: string };

/** A step of `request` on any of the contexts, or of the devices. */
function call(name: string, on: Step["on"], request: Step["request"], calls: fc.Arbitrary<Call>) {
  return fc.tuple(on === "context" ? context : device, calls).map(
    ([index, { what = "", ...call }]): Step => ({
      text: `${on} ${index}: ${name} ${what}`.trim(),
      on,
      index,
      request,
      ...call,
    }),
  );
}

const hex = (value: bigint) => `0x${value.toString(16)}`;
const extent = ({ start, last }: { start: bigint; last: bigint }) => `[${hex(start)}, ${hex(last)}]`;
const nothing: fc.Arbitrary<Call> = fc.constant({ argument: Buffer.alloc(0) });

const alloc = fc.constant(0).map((): Call => ({ argument: iommufd.iommu_ioas_alloc.encode() }));
const destroy = id.map((of): Call => ({ what: `${of}`, argument: iommufd.iommu_destroy.encode({ id: of }) }));
const iovaRanges = fc.tuple(id, fc.nat(4)).map(
  ([ioas_id, num_iovas]): Call => ({
    what: `${ioas_id}, room for ${num_iovas}`,
    argument: iommufd.iommu_ioas_iova_ranges.encode({ ioas_id, num_iovas }),
    pointer: { offset: 16, target: Buffer.alloc(16 * num_iovas + 16, 0xa5) },
  }),
);
const allowIovas = fc.tuple(id, fc.array(range, { maxLength: 3 })).map(
  ([ioas_id, list]): Call => ({
    what: `${ioas_id}: ${list.map(extent).join(" ")}`,
    argument: iommufd.iommu_ioas_allow_iovas.encode({ ioas_id, num_iovas: list.length }),
    // Not an empty one: that has no address.
    pointer: {
      offset: 16,
      target: Buffer.concat([iommufd.iommu_iova_range.encodeArray(list), Buffer.alloc(1)]),
    },
  }),
);
const addReserved = fc.tuple(id, range).map(
  ([of, { start, last }]): Call => ({
    what: `${of}: ${extent({ start, last })}`,
    argument: iommu_test_cmd.encode({
      op: IOMMU_TEST_OP_ADD_RESERVED,
      id: of,
      start,
      // All of the address space has a length that does not fit; as 0 it is refused.
      length: BigInt.asUintN(64, last - start + 1n),
    }),
  }),
);
const map = fc
  .tuple(id, address, fc.constantFrom(6, 7), fc.constantFrom(PAGE / 2n, PAGE, 2n * PAGE))
  .map(([ioas_id, iova, flags, length]): Call => {
    const fixed = flags & iommufd.IOMMU_IOAS_MAP_FIXED_IOVA;
    return {
      what: `${ioas_id}: ${hex(length)} bytes ${fixed ? `at ${hex(iova)}` : "anywhere"}`,
      argument: iommufd.iommu_ioas_map.encode({ ioas_id, iova, flags, length }),
      pointer: { offset: 16, target: "memory" },
    };
  });
const unmap = fc.tuple(id, address, fc.constantFrom(0n, PAGE / 2n, PAGE, 2n * PAGE, U64_MAX)).map(
  ([ioas_id, iova, length]): Call => ({
    what: `${ioas_id}: ${hex(length)} bytes at ${hex(iova)}`,
    argument: iommufd.iommu_ioas_unmap.encode({ ioas_id, iova, length }),
  }),
);
const option = fc.tuple(id, fc.nat(2), fc.nat(2), fc.constantFrom(0n, 1n, 2n)).map(
  ([of, option_id, op, val64]): Call => ({
    what: `of ${option_id === 0 ? 0 : of}: option ${option_id}, op ${op}, value ${val64}`,
    argument: iommufd.iommu_option.encode({ object_id: option_id === 0 ? 0 : of, option_id, op, val64 }),
  }),
);
const bind = context.map(
  (of): Call => ({
    what: `to context ${of}`,
    argument: vfio.vfio_device_bind_iommufd.encode(),
    context: of,
  }),
);
const attach = id.map(
  (pt_id): Call => ({
    what: `to ${pt_id}`,
    argument: vfio.vfio_device_attach_iommufd_pt.encode({ pt_id }),
  }),
);
const detach = fc.constant(0).map((): Call => ({ argument: vfio.vfio_device_detach_iommufd_pt.encode() }));

/** Every operation of a client of iommufd and of a VFIO device, those that change what a device may do most often. */
export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: call("IOAS_ALLOC", "context", iommufd.IOMMU_IOAS_ALLOC, alloc) },
  { weight: 2, arbitrary: call("DESTROY", "context", iommufd.IOMMU_DESTROY, destroy) },
  { weight: 2, arbitrary: call("IOVA_RANGES", "context", iommufd.IOMMU_IOAS_IOVA_RANGES, iovaRanges) },
  { weight: 3, arbitrary: call("ALLOW_IOVAS", "context", iommufd.IOMMU_IOAS_ALLOW_IOVAS, allowIovas) },
  { weight: 2, arbitrary: call("ADD_RESERVED", "context", iommufd.IOMMU_TEST_CMD, addReserved) },
  { weight: 4, arbitrary: call("MAP", "context", iommufd.IOMMU_IOAS_MAP, map) },
  { weight: 3, arbitrary: call("UNMAP", "context", iommufd.IOMMU_IOAS_UNMAP, unmap) },
  { weight: 1, arbitrary: call("OPTION", "context", iommufd.IOMMU_OPTION, option) },
  { weight: 4, arbitrary: call("BIND", "device", vfio.VFIO_DEVICE_BIND_IOMMUFD, bind) },
  { weight: 12, arbitrary: call("ATTACH", "device", vfio.VFIO_DEVICE_ATTACH_IOMMUFD_PT, attach) },
  { weight: 4, arbitrary: call("DETACH", "device", vfio.VFIO_DEVICE_DETACH_IOMMUFD_PT, detach) },
  { weight: 1, arbitrary: call("close and open again", "device", "close and open again", nothing) },
  { weight: 1, arbitrary: call("close and open again", "context", "close and open again", nothing) },
);
