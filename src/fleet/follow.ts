import { Fleet } from "./fleet.ts";
import { type FleetStore, StoreError } from "./stores/store.ts";

/** How many profiles are asked for at a time. */
const SIDE_BY_SIDE = 64;

/** What has changed in a fleet that is followed. */
export type FleetChange =
  | { readonly kind: "settled" }
  | { readonly kind: "host" | "gone"; readonly host: string }
  | { readonly kind: "trouble"; readonly message: string };

/**
 * Keeps a fleet as its store has it, and tells of each change when the fleet has it: of the hosts that there are, at the
 * start and when the thread was lost, only with `settled`.
 */
export async function* follow(
  store: FleetStore,
  fleet: Fleet,
  clock: () => number,
  signal: AbortSignal,
): AsyncIterable<FleetChange> {
  let isSettled = false;
  let told: string | undefined;
  const asked = new Set<string>();
  for await (const change of store.watch(signal)) {
    fleet.apply(change, clock());
    if (change.kind === "begin") isSettled = false;
    if (change.kind === "trouble") {
      if (change.message !== told) yield { kind: "trouble", message: change.message };
      told = change.message;
    }
    if (change.kind === "host") {
      const digest = fleet.missing(change.host);
      if (digest !== undefined) asked.add(digest);
      if (isSettled) {
        yield* fetchAll(store, fleet, asked);
        yield { kind: "host", host: change.host };
      }
    }
    if (change.kind === "gone" && isSettled) yield { kind: "gone", host: change.host };
    if (change.kind === "settled") {
      yield* fetchAll(store, fleet, asked);
      fleet.forgetUnused();
      isSettled = true;
      told = undefined;
      yield { kind: "settled" };
    }
  }
}

/** The fleet as it is now, host after host put into `fleet`. Rejects with StoreError when the store cannot be asked. */
export async function snapshot(store: FleetStore, clock: () => number, fleet = new Fleet()): Promise<Fleet> {
  const end = new AbortController();
  for await (const change of follow(store, fleet, clock, end.signal)) {
    if (change.kind === "trouble") throw new StoreError(change.message);
    if (change.kind === "settled") break;
  }
  end.abort();
  return fleet;
}

/** What cannot be had now is asked for again with the next word of its host. */
async function* fetchAll(store: FleetStore, fleet: Fleet, digests: Set<string>): AsyncIterable<FleetChange> {
  const waiting = [...digests];
  digests.clear();
  let failure: string | undefined;
  const fetchSome = async () => {
    for (let digest = waiting.pop(); digest !== undefined; digest = waiting.pop()) {
      try {
        fleet.addProfile(digest, await store.profile(digest));
      } catch (error) {
        failure = (error as Error).message;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(SIDE_BY_SIDE, waiting.length) }, fetchSome));
  if (failure !== undefined) yield { kind: "trouble", message: failure };
}
