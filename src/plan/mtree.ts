import { alignRangeInwards } from "../ranges/align.ts";
import { STEP, type Steps } from "../ranges/steps.ts";
import type { Window } from "./layout.ts";

/** "  0000000100000000-000000027fffffff (prio 0, ram): pc.ram @0000000080000000 KVM" */
const LINE = /^([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, (?:nv-)?([a-z/]+)\): (.+)$/i;
/** What `softmmu/memory.c: mtree_print_flatview` says of one space, and of the view that several may share. */
const VIEW = /^\s*FlatView #/;
const SPACE = /^\s*AS "([^"]*)"/;
/** The address space of a device that has no IOMMU of the guest's in front of it. */
const SYSTEM_SPACE = "memory";
/** What `-o` puts behind a name (`mtree_print_mr_owner`). */
const OWNER = / (?:(?:owner|parent):\{(?:dev|obj) |orphan$)/;
/** What stands at the end of a line for each address space in which KVM has the memory. */
const KVM = " KVM";

/**
 * The windows of a running QEMU, from the text of its monitor's `info mtree -f`, or `-f -o`: what VFIO maps for a device.
 *
 * That is RAM and ROM in the address space "memory" (`hw/vfio/common.c: vfio_listener_skipped_section`), less the
 * incomplete pages at both ends (`vfio_get_section_iova_range`). A failed mapping of RAM or ROM is fatal to QEMU; one of
 * a device's BAR (`ramd`) is not, so those are not required.
 *
 * @param pageSize of the host, in bytes
 * @throws RangeError that says which command to use, for text without a view: `info mtree` without `-f` shows aliases
 * and whole regions, wherever they may be hidden
 */
export function* parseMtree(text: string, pageSize: bigint): Steps<Window[]> {
  const windows: Window[] = [];
  let views = 0;
  let isSystem = false;
  let count = 0;
  for (const line of linesOf(text)) {
    if (++count % STEP === 0) yield;
    if (VIEW.test(line)) {
      if (isSystem) return windows;
      views++;
      // The spaces of a view stand before its ranges.
    } else if (views > 0 && SPACE.exec(line)?.[1] === SYSTEM_SPACE) isSystem = true;
    else if (isSystem) windows.push(...windowOf(line, pageSize));
  }
  if (isSystem) return windows;
  throw new RangeError(
    views === 0
      ? 'no FlatView in it; give what QEMU\'s monitor prints for "info mtree -f" (over QMP: human-monitor-command)'
      : `none of its FlatViews shows the address space "${SYSTEM_SPACE}"; give the whole of what QEMU's monitor prints for "info mtree -f"`,
  );
}

/** Without their ends; one at a time, since a text of a mebibyte may have as many. */
function* linesOf(text: string): Generator<string, void, undefined> {
  for (let at = 0; at < text.length; ) {
    const found = text.indexOf("\n", at);
    const end = found < 0 ? text.length : found;
    yield text.slice(at, end);
    at = end + 1;
  }
}

function windowOf(line: string, pageSize: bigint): Window[] {
  const [, low, high, type, name] = LINE.exec(line.trim()) ?? [];
  if (low === undefined || high === undefined || name === undefined) return [];
  if (type !== "ram" && type !== "rom" && type !== "ramd") return [];
  const range = { start: BigInt(`0x${low}`), last: BigInt(`0x${high}`) };
  const mapped = range.start <= range.last ? alignRangeInwards(range, pageSize) : null;
  // Bit 63 marks what a BAR shows while the guest finds out its size.
  if (mapped === null || mapped.start >> 63n === 1n) return [];
  return [{ ...mapped, name: nameOf(name), required: type !== "ramd" }];
}

function nameOf(text: string): string {
  let name = text;
  while (name.endsWith(KVM)) name = name.slice(0, -KVM.length);
  const owner = name.search(OWNER);
  return owner < 0 ? name : name.slice(0, owner);
}
