import { UsageError } from "../command-line.ts";
import { formatAddress, parseAddress, U64_MAX } from "../ranges/address.ts";
import type { Range } from "../ranges/range.ts";
import { humanSize, parseSize, SIZE } from "../ranges/size.ts";

/** A range as answers have it; inclusive. */
export interface WireRange {
  readonly start: string;
  readonly last: string;
}

export function toRange({ start, last }: WireRange): Range {
  return { start: parseAddress(start), last: parseAddress(last) };
}

/** How much lies in a range, for people. */
export function sizeOf(range: WireRange): string {
  const { start, last } = toRange(range);
  return humanSize(last - start + 1n);
}

/** As parseRange() takes it. */
export function rangeText({ start, last }: WireRange): string {
  return `${start}-${last}`;
}

/**
 * What people write for a range: `0xfee00000-0xfeefffff` (inclusive), `0x0+2G`, or one address alone.
 * @throws UsageError
 */
export function parseRange(text: string): WireRange {
  const [, first = "", sign, second = ""] = /^([^-+]*)(?:([-+])(.*))?$/.exec(text) ?? [];
  const start = address(first, text);
  const last =
    sign === undefined ? start : sign === "-" ? address(second, text) : start + parseBytes(second, text) - 1n;
  if (last < start)
    throw new UsageError(`${text}: the range starts above its last address (both are inclusive)`);
  if (last > U64_MAX) throw new UsageError(`${text}: the range reaches beyond 64 bits`);
  return { start: formatAddress(start), last: formatAddress(last) };
}

function address(text: string, whole: string): bigint {
  try {
    return boundOf(text);
  } catch {
    throw new UsageError(
      `"${whole}" is no range: write 0xSTART-0xLAST (inclusive), 0xSTART+SIZE, or an address`,
    );
  }
}

/** 0 is the same in any form. */
function boundOf(text: string): bigint {
  if (text === "0") return 0n;
  return SIZE.test(text) ? parseSize(text) : parseAddress(text);
}

/** An address, as it is written or as the size of what lies below it: 4G. @throws UsageError */
export function parseBound(option: string, text: string): bigint {
  try {
    return boundOf(text);
  } catch {
    throw new UsageError(`${option} takes an address, as in 0x100000000 or 4G, not "${text}"`);
  }
}

/** With a unit, or an address's digits; in bytes. `whole` is what it stands in. @throws UsageError */
export function parseBytes(text: string, whole: string): bigint {
  try {
    const bytes = /^0x/i.test(text) ? parseAddress(text) : parseSize(text);
    if (bytes > 0n) return bytes;
  } catch {}
  if (/^0*[1-9]\d*$/.test(text)) {
    const hex = formatAddress(BigInt(text));
    throw new UsageError(
      `${whole}: the size "${text}" could be bytes, or MiB as QEMU has it: write ${hex} or ${text}M`,
    );
  }
  throw new UsageError(`${whole}: the size "${text}" is none: write a number and a unit, as in 512M or 1.5T`);
}
