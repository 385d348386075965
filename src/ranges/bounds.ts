import { U64_MAX } from "./address.ts";
import { ascending } from "./order.ts";
import { STEP, type Steps } from "./steps.ts";

/**
 * Ranges as two arrays of u64 of one length, where range i reaches from `starts[i]` to `lasts[i]`, inclusive.
 * Unlike an array of objects it takes 16 bytes a range, and the engine sorts it natively.
 */
export interface Bounds {
  readonly starts: BigUint64Array;
  readonly lasts: BigUint64Array;
}

/**
 * Brings ranges into ascending order and joins those that overlap or touch. Takes over the arrays given.
 *
 * The two arrays are sorted **independently**, by the native sort without a comparator: that is what makes a million
 * ranges cheap. It forgets which start belonged to which last, and the result does not depend on it:
 *
 * - Let `starts[i + 1]` lie above `lasts[i] + 1` after sorting. The n - i - 1 ranges that start there or later end
 *   above `lasts[i]` too, and only n - i - 1 lasts do at most. So all others end at `lasts[i]` or below, nothing
 *   holds `lasts[i] + 1`, and one joined range ends where the next one starts at `starts[i + 1]`.
 * - Let conversely a joined range end, with k ranges up to there and others above it. The k ranges have the k lowest
 *   starts and the k lowest lasts, so the gap shows between `lasts[k - 1]` and `starts[k]`.
 *
 * @param bounds every range with start <= last
 */
export function merge({ starts, lasts }: Bounds): Bounds {
  starts.sort();
  lasts.sort();
  let count = 0;
  let first = 0;
  for (let i = 0; i < lasts.length; i++) {
    const last = lasts[i] as bigint;
    const next = starts[i + 1];
    // Not `next <= last + 1n`, which leaves 64 bits at the top.
    if (next !== undefined && (next <= last || next - 1n === last)) continue;
    starts[count] = starts[first] as bigint;
    lasts[count] = last;
    count++;
    first = i + 1;
  }
  // A copy, unless nothing was joined: a view would keep arrays of the original length alive.
  return count === starts.length
    ? { starts, lasts }
    : { starts: starts.slice(0, count), lasts: lasts.slice(0, count) };
}

/** As {@link merge}, of many ranges while others go on; the arrays given stay as they are. */
export function* mergeInSteps({ starts, lasts }: Bounds): Steps<Bounds> {
  const order = yield* ascending(starts);
  const joined = { starts: new BigUint64Array(order.length), lasts: new BigUint64Array(order.length) };
  let count = 0;
  let end = 0n;
  for (let i = 0; i < order.length; i++) {
    if (i % STEP === 0) yield;
    const start = starts[order[i] as number] as bigint;
    const last = lasts[order[i] as number] as bigint;
    if (count === 0 || (start > end && start - 1n !== end)) joined.starts[count++] = start;
    else if (last <= end) continue;
    joined.lasts[count - 1] = end = last;
  }
  return { starts: joined.starts.slice(0, count), lasts: joined.lasts.slice(0, count) };
}

/** The holes of merged ranges: below the first, between them, above the last. */
export function complement({ starts, lasts }: Bounds): Bounds {
  const count = starts.length;
  const holeStarts = new BigUint64Array(count + 1);
  const holeLasts = new BigUint64Array(count + 1);
  for (let i = 0; i < count; i++) {
    holeLasts[i] = (starts[i] as bigint) - 1n;
    holeStarts[i + 1] = (lasts[i] as bigint) + 1n;
  }
  holeLasts[count] = U64_MAX;
  // No hole lies below a range that starts at 0, nor above one that ends at the top. The array has wrapped their
  // bounds, -1 and 2^64; they are left out here.
  const from = starts[0] === 0n ? 1 : 0;
  const to = lasts[count - 1] === U64_MAX ? count : count + 1;
  return { starts: holeStarts.subarray(from, to), lasts: holeLasts.subarray(from, to) };
}

/** All ranges of both, not merged. */
export function concat(a: Bounds, b: Bounds): Bounds {
  return { starts: concatArrays(a.starts, b.starts), lasts: concatArrays(a.lasts, b.lasts) };
}

function concatArrays(a: BigUint64Array, b: BigUint64Array): BigUint64Array {
  const both = new BigUint64Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
