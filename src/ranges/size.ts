import { U64_MAX } from "./address.ts";

/** A number with a unit. A fraction may lack one side of its point. */
export const SIZE = /^(\d{1,20}(\.\d{0,40})?|\.\d{1,40})[bkmgtpeBKMGTPE]$/;
const UNITS = "bkmgtpe";

/**
 * Reads a size as QEMU's command line writes it, in powers of 1024: "512M", "1536G", "1.5T". The unit is required:
 * without one QEMU means bytes in one option and megabytes in another.
 *
 * A fraction is rounded as QEMU rounds it: to 64 binary places, then to the nearest byte, a half upwards
 * (`util/cutils.c: do_strtosz`).
 * @returns bytes
 * @throws RangeError for everything else, parts of a byte and more than 64 bits included
 */
export function parseSize(text: string): bigint {
  if (!SIZE.test(text)) throw new RangeError('expected a number and a unit, as in "512M" or "1.5T"');
  const [whole = "", fraction = ""] = text.slice(0, -1).split(".");
  const shift = 10n * BigInt(UNITS.indexOf(text.slice(-1).toLowerCase()));
  const parts = binaryPlaces(fraction);
  if (shift === 0n && parts > 0n) throw new RangeError("expected a whole number of bytes");
  const size = (BigInt(whole) << shift) + (((parts << shift) + (1n << 63n)) >> 64n);
  if (size > U64_MAX) throw new RangeError("expected a size within 64 bits");
  return size;
}

/** The digits behind a point, in units of 2^-64. What is not 0 does not become 0. */
function binaryPlaces(digits: string): bigint {
  const fraction = Number(`0.${digits}`);
  const parts = BigInt(Math.trunc(fraction * 2 ** 64));
  return fraction > 0 && parts === 0n ? 1n : parts;
}

/** Writes a size as QEMU's command line takes it, in the largest unit of which it is a whole number. */
export function formatSize(bytes: bigint): string {
  let unit = 0;
  while (unit < UNITS.length - 1 && bytes !== 0n && bytes % 1024n === 0n) {
    bytes /= 1024n;
    unit++;
  }
  return `${bytes}${UNITS[unit]?.toUpperCase()}`;
}

const PEOPLES_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** For people: in the largest unit that leaves a number of at least 1, to a hundredth. */
export function humanSize(bytes: bigint): string {
  let [number, unit] = [Number(bytes), 0];
  for (; number >= 1024 && unit < PEOPLES_UNITS.length - 1; unit++) number /= 1024;
  return `${Number(number.toFixed(2))} ${PEOPLES_UNITS[unit]}`;
}
