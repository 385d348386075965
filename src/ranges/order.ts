import { STEP, type Steps } from "./steps.ts";

const KEY_BYTES = 8;

/**
 * The indices of `keys` in ascending order of the keys; those of equal keys in their own order.
 *
 * A radix sort, byte by byte from the lowest: a comparison of two bigints is dear, and a sort by a comparator cannot be
 * interrupted. One step is one byte of all keys.
 */
export function* ascending(keys: BigUint64Array): Steps<Uint32Array> {
  // The lowest byte first: the daemon runs on little-endian machines only.
  const bytes = new Uint8Array(keys.buffer, keys.byteOffset, keys.byteLength);
  let order = new Uint32Array(keys.length);
  for (let i = 0; i < order.length; i++) order[i] = i;
  let next = new Uint32Array(keys.length);
  for (let digit = 0; digit < KEY_BYTES; digit++) {
    const places = placesOf(bytes, digit);
    if (places === undefined) continue;
    for (const index of order) {
      const value = bytes[index * KEY_BYTES + digit] as number;
      next[places[value] as number] = index;
      (places[value] as number)++;
    }
    [order, next] = [next, order];
    yield;
  }
  return order;
}

/** Where the first key with each value of a byte belongs; undefined when all have the same value. */
function placesOf(bytes: Uint8Array, digit: number): Uint32Array | undefined {
  const places = new Uint32Array(256);
  for (let at = digit; at < bytes.length; at += KEY_BYTES) (places[bytes[at] as number] as number)++;
  if (places.includes(bytes.length / KEY_BYTES)) return undefined;
  let place = 0;
  for (let value = 0; value < places.length; value++) {
    const count = places[value] as number;
    places[value] = place;
    place += count;
  }
  return places;
}

/** The texts in ascending order, as sort() has it: it merges what sort() makes of a step's worth each. */
export function* ascendingTexts(texts: readonly string[]): Steps<readonly string[]> {
  let runs: (readonly string[])[] = [];
  for (let i = 0; i < texts.length; i += STEP) {
    runs.push(texts.slice(i, i + STEP).sort());
    yield;
  }
  while (runs.length > 1) {
    const merged: (readonly string[])[] = [];
    for (let i = 0; i < runs.length; i += 2) merged.push(yield* merge(runs[i] ?? [], runs[i + 1] ?? []));
    runs = merged;
  }
  return runs[0] ?? [];
}

function* merge(a: readonly string[], b: readonly string[]): Steps<readonly string[]> {
  if (b.length === 0) return a;
  const merged = new Array<string>(a.length + b.length);
  for (let i = 0, j = 0, count = 0; count < merged.length; ) {
    const isFromA = j === b.length || (i < a.length && (a[i] as string) <= (b[j] as string));
    merged[count++] = (isFromA ? a[i++] : b[j++]) as string;
    if (count % STEP === 0) yield;
  }
  return merged;
}
