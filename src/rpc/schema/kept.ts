import type { Steps } from "../../ranges/steps.ts";
import type { Method } from "../method.ts";
import type { TimeSlice } from "../time-slice.ts";

/** A description of all methods, put together when first asked for; frozen, so that its text is kept as well. */
export function kept<T extends object>(describe: (methods: readonly Method[]) => Steps<T>) {
  const made = new WeakMap<readonly Method[], T>();
  return async (methods: readonly Method[], slice: TimeSlice): Promise<T> => {
    const known = made.get(methods) ?? Object.freeze(await slice.run(describe(methods)));
    made.set(methods, known);
    return known;
  };
}
