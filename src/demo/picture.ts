import type { Range } from "../ranges/range.ts";
import { RangeSet } from "../ranges/range-set.ts";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const WIDTH = 34;

/** The whole address space as lines of text, bottom address first: what is usable, and why the rest is not. */
export function picture(allowed: readonly Range[], regions: readonly (Range & { type: string })[]): string[] {
  const usable = RangeSet.from(allowed);
  const parts = [...usable, ...usable.invert()].sort((a, b) => (a.start < b.start ? -1 : 1));
  const lines = parts.flatMap((part) => {
    const isUsable = usable.covers(part);
    const why = regions.find((region) => region.start <= part.last && part.start <= region.last)?.type;
    const label = isUsable ? "usable" : (why ?? "outside the aperture");
    const fill = (isUsable ? " " : "░").repeat(2);
    return [
      `${hex(part.start)} ├${"─".repeat(WIDTH)}┤`,
      `${" ".repeat(18)} │${fill} ${label.padEnd(WIDTH - 14)}${size(part).padStart(8)} ${fill}│`,
    ];
  });
  return [...lines, `${hex((1n << 64n) - 1n)} ├${"─".repeat(WIDTH)}┤`];
}

function hex(address: bigint): string {
  return `0x${address.toString(16)}`.padStart(18);
}

/** In the largest unit that leaves a number of at least 1. */
function size({ start, last }: Range): string {
  let bytes = Number(last - start) + 1;
  let unit = 0;
  for (; bytes >= 1024 && unit < UNITS.length - 1; unit++) bytes /= 1024;
  return `${Number(bytes.toFixed(1))} ${UNITS[unit]}`;
}
