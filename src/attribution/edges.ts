import { ascending, ascendingTexts } from "../ranges/order.ts";
import { mapInSteps, STEP, type Steps } from "../ranges/steps.ts";
import { type Cause, causeKey } from "./cause.ts";
import type { Claim } from "./claims.ts";

/** Where claims begin, or where they end, ascending, each with the number of the claim's cause. */
interface Edges {
  readonly at: BigUint64Array;
  readonly causes: Uint32Array;
}

/**
 * The different causes in the order of their keys, and the edges of claims with the causes' numbers among them. In arrays
 * side by side, since a sweep that went from claim to claim in the order of addresses would wait for each of them to come
 * from memory.
 */
export function* edgesOf(
  claims: readonly Claim[],
): Steps<{ causes: readonly Cause[]; begins: Edges; ends: Edges }> {
  const starts = new BigUint64Array(claims.length);
  const lasts = new BigUint64Array(claims.length);
  /** By the claim: the number of its cause as causes come. */
  const found = new Uint32Array(claims.length);
  const numbers = new Map<Cause, number>();
  for (let i = 0; i < claims.length; i++) {
    if (i % STEP === 0) yield;
    const { start, last, cause } = claims[i] as Claim;
    starts[i] = start;
    lasts[i] = last;
    // Most claims are of the cause of the one before.
    const isSame = i > 0 && cause === (claims[i - 1] as Claim).cause;
    const number = isSame ? (found[i - 1] as number) : (numbers.get(cause) ?? numbers.size);
    if (number === numbers.size) numbers.set(cause, number);
    found[i] = number;
  }
  yield;
  const { causes, places } = yield* inOrder([...numbers.keys()]);
  return {
    causes,
    begins: yield* edgesIn(yield* ascending(starts), starts, found, places),
    ends: yield* edgesIn(yield* ascending(lasts), lasts, found, places),
  };
}

/** Those that mean the same are one. `places`: of each of `given`, where it is among `causes`. */
function* inOrder(given: readonly Cause[]): Steps<{ causes: readonly Cause[]; places: Uint32Array }> {
  const byKey = new Map<string, Cause>();
  const keys = yield* mapInSteps(given, (cause) => {
    const key = causeKey(cause);
    byKey.set(key, cause);
    return key;
  });
  const sorted = yield* ascendingTexts([...byKey.keys()]);
  const numbers = new Map<string, number>();
  const causes = yield* mapInSteps(sorted, (key) => {
    numbers.set(key, numbers.size);
    return byKey.get(key) as Cause;
  });
  const places = new Uint32Array(keys.length);
  for (let i = 0; i < keys.length; i++) {
    if (i % STEP === 0) yield;
    places[i] = numbers.get(keys[i] as string) as number;
  }
  return { causes, places };
}

function* edgesIn(
  order: Uint32Array,
  addresses: BigUint64Array,
  found: Uint32Array,
  places: Uint32Array,
): Steps<Edges> {
  const at = new BigUint64Array(order.length);
  const causes = new Uint32Array(order.length);
  for (let i = 0; i < order.length; i++) {
    if (i % STEP === 0) yield;
    const claim = order[i] as number;
    at[i] = addresses[claim] as bigint;
    causes[i] = places[found[claim] as number] as number;
  }
  return { at, causes };
}
