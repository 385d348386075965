import {
  IOMMU_DESTROY,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IOMMU_IOAS_UNMAP,
  IOMMU_OPTION,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_OPTION_OP_GET,
  IOMMU_OPTION_OP_SET,
  IOMMU_OPTION_RLIMIT_MODE,
  IOMMU_TEST_CMD,
  iommu_destroy,
  iommu_ioas_alloc,
  iommu_ioas_allow_iovas,
  iommu_ioas_iova_ranges,
  iommu_ioas_map,
  iommu_ioas_unmap,
  iommu_iova_range,
  iommu_option,
} from "../../uapi/iommufd.ts";
import { IOMMU_TEST_OP_ADD_RESERVED, iommu_test_cmd } from "../../uapi/iommufd-test.ts";
import { iommu_resv_iova_ranges } from "../../uapi/resv-iova-ranges.ts";
import type { Field, Struct } from "../../uapi/struct.ts";
import { Errno } from "./errno.ts";
import { firstIntersecting, type Interval, insert } from "./intervals.ts";
import { Ioas, type ObjectTable } from "./objects.ts";
import type { Topology } from "./topology.ts";
import type { UserMemory } from "./user-memory.ts";

const U64_MAX = (1n << 64n) - 1n;

/** What the commands work on: an open /dev/iommu. */
interface Context {
  readonly objects: ObjectTable;
  readonly pageSize: number;
  /** The value of IOMMU_OPTION_RLIMIT_MODE. */
  rlimitMode: bigint;
}

/** One command, after its function in `drivers/iommu/iommufd/ioas.c` or `main.c` of Linux 6.12. */
export interface Command {
  readonly request: number;
  /** Bytes of the struct; every struct here ends with its last mandatory member. */
  readonly size: number;
  /** Runs on the kernel's copy of the struct. Throws Errno. */
  readonly execute: (context: Context, struct: Buffer, memory: UserMemory) => void;
}

/** `execute` changes the values it gets; they go back to the caller with `respond` (iommufd_ucmd_respond). */
function command<F extends Readonly<Record<string, Field<number> | Field<bigint>>>>(
  request: number,
  struct: Struct<F>,
  execute: (
    context: Context,
    values: ReturnType<Struct<F>["decode"]>,
    memory: UserMemory,
    respond: () => void,
  ) => void,
): Command {
  return {
    request,
    size: struct.size,
    execute: (context, bytes, memory) => {
      const values = struct.decode(bytes);
      execute(context, values, memory, () => memory.write(memory.argument, struct.encode(values)));
    },
  };
}

const destroy = command(IOMMU_DESTROY, iommu_destroy, ({ objects }, { id }) => {
  const object = objects.get(id);
  if (object.users > 1) throw new Errno("EBUSY");
  objects.remove(object);
});

const ioasAlloc = command(
  IOMMU_IOAS_ALLOC,
  iommu_ioas_alloc,
  ({ objects, pageSize }, values, _memory, respond) => {
    if (values.flags !== 0) throw new Errno("EOPNOTSUPP");
    values.out_ioas_id = objects.add((id) => new Ioas(id, pageSize)).id;
    respond();
  },
);

const ioasIovaRanges = command(
  IOMMU_IOAS_IOVA_RANGES,
  iommu_ioas_iova_ranges,
  ({ objects }, values, memory, respond) => {
    if (values.__reserved !== 0) throw new Errno("EOPNOTSUPP");
    const { pagetable } = objects.getIoas(values.ioas_id);
    values.out_iova_alignment = pagetable.alignment;
    copyOut(pagetable.iovaRanges(), values, values.allowed_iovas, memory, respond);
  },
);

const ioasAllowIovas = command(
  IOMMU_IOAS_ALLOW_IOVAS,
  iommu_ioas_allow_iovas,
  ({ objects }, values, memory) => {
    if (values.__reserved !== 0) throw new Errno("EOPNOTSUPP");
    const { pagetable } = objects.getIoas(values.ioas_id);
    const allowed: Interval[] = [];
    for (let index = 0; index < values.num_iovas; index++) {
      const address = values.allowed_iovas + BigInt(index * iommu_iova_range.size);
      const range = iommu_iova_range.decode(memory.read(address, iommu_iova_range.size));
      if (range.start >= range.last || firstIntersecting(allowed, range)) throw new Errno("EINVAL");
      insert(allowed, range);
    }
    pagetable.setAllowed(allowed);
  },
);

const ioasMap = command(IOMMU_IOAS_MAP, iommu_ioas_map, ({ objects }, values, _memory, respond) => {
  const access = IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE;
  if ((values.flags & ~(access | IOMMU_IOAS_MAP_FIXED_IOVA)) !== 0 || values.__reserved !== 0) {
    throw new Errno("EOPNOTSUPP");
  }
  if (values.iova === U64_MAX || values.length === U64_MAX) throw new Errno("EOVERFLOW");
  if ((values.flags & access) === 0) throw new Errno("EINVAL");
  const { pagetable } = objects.getIoas(values.ioas_id);
  const fixed = (values.flags & IOMMU_IOAS_MAP_FIXED_IOVA) !== 0;
  values.iova = pagetable.map(fixed ? values.iova : undefined, values.user_va, values.length);
  respond();
});

const ioasUnmap = command(IOMMU_IOAS_UNMAP, iommu_ioas_unmap, ({ objects }, values, _memory, respond) => {
  const { pagetable } = objects.getIoas(values.ioas_id);
  const { iova, length } = values;
  const everything = iova === 0n && length === U64_MAX;
  if (!everything) {
    if (iova === U64_MAX || length === U64_MAX) throw new Errno("EOVERFLOW");
    if (length === 0n) throw new Errno("EINVAL");
    if (iova + length - 1n > U64_MAX) throw new Errno("EOVERFLOW");
  }
  values.length = pagetable.unmap({ start: iova, last: everything ? U64_MAX : iova + length - 1n });
  if (values.length === 0n && !everything) throw new Errno("ENOENT");
  respond();
});

const setOption = command(IOMMU_OPTION, iommu_option, (context, values, _memory, respond) => {
  if (values.__reserved !== 0) throw new Errno("EOPNOTSUPP");
  if (values.option_id === IOMMU_OPTION_RLIMIT_MODE) {
    if (values.object_id !== 0) throw new Errno("EOPNOTSUPP");
    if (values.op === IOMMU_OPTION_OP_GET) values.val64 = context.rlimitMode;
    else if (values.op !== IOMMU_OPTION_OP_SET) throw new Errno("EOPNOTSUPP");
    else if (!context.objects.isEmpty) throw new Errno("EBUSY");
    else if (values.val64 > 1n) throw new Errno("EINVAL");
    else context.rlimitMode = values.val64;
  } else if (values.option_id === IOMMU_OPTION_HUGE_PAGES) {
    const { pagetable } = context.objects.getIoas(values.object_id);
    if (values.op === IOMMU_OPTION_OP_GET) values.val64 = pagetable.largePages ? 1n : 0n;
    else if (values.op !== IOMMU_OPTION_OP_SET) throw new Errno("EOPNOTSUPP");
    else if (values.val64 > 1n) throw new Errno("EINVAL");
    else pagetable.setLargePages(values.val64 === 1n);
  } else {
    throw new Errno("EOPNOTSUPP");
  }
  respond();
});

/**
 * The proposed IOMMU_RESV_IOVA_RANGES at a number that mainline has not given a meaning: the device's regions as
 * its driver lists them, but for those that the kernel does not enforce.
 */
const resvIovaRanges = command(0x3bb0, iommu_resv_iova_ranges, ({ objects }, values, memory, respond) => {
  if (values.__reserved !== 0) throw new Errno("EOPNOTSUPP");
  const { regions } = objects.getDevice(values.dev_id).device;
  const enforced = regions.filter(({ type }) => type !== "direct-relaxable");
  copyOut(enforced, values, values.resv_iovas, memory, respond);
});

/** Of the operations for the kernel's own tests, ADD_RESERVED (selftest.c: iommufd_test_add_reserved). */
const test = command(IOMMU_TEST_CMD, iommu_test_cmd, ({ objects }, { op, id, start, length }) => {
  if (op !== IOMMU_TEST_OP_ADD_RESERVED) throw new Errno("EOPNOTSUPP");
  if (length === 0n) throw new Errno("EINVAL");
  const last = start + length - 1n;
  if (last > U64_MAX) throw new Errno("EOVERFLOW");
  const { pagetable } = objects.getIoas(id);
  // Nobody takes it back before the IOAS goes.
  pagetable.reserve({ start, last }, pagetable);
});

const COMMANDS = [destroy, ioasAlloc, ioasIovaRanges, ioasAllowIovas, ioasMap, ioasUnmap, setOption];

/** The commands of a kernel by their numbers. */
export function commandsOf(kernel: Topology["kernel"]): ReadonlyMap<number, Command> {
  const optional = [
    ...(kernel.resvIovaRanges ? [resvIovaRanges] : []),
    ...(kernel.iommufdTest ? [test] : []),
  ];
  return new Map([...COMMANDS, ...optional].map((entry) => [entry.request, entry]));
}

/**
 * As many of the ranges as the caller has room for, at `pointer`, and in `num_iovas` how many there are; the
 * caller gets both also when it is told EMSGSIZE, and neither when it is told EFAULT.
 */
function copyOut(
  ranges: readonly Interval[],
  values: { num_iovas: number },
  pointer: bigint,
  memory: UserMemory,
  respond: () => void,
): void {
  const capacity = values.num_iovas;
  values.num_iovas = ranges.length;
  memory.write(pointer, iommu_iova_range.encodeArray(ranges.slice(0, capacity)));
  respond();
  if (ranges.length > capacity) throw new Errno("EMSGSIZE");
}
