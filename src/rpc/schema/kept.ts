import type { Steps } from "../../ranges/steps.ts";
import type { Method } from "../method.ts";
import type { TimeSlice } from "../time-slice.ts";

/** What all who have asked put together. */
interface Description<T> {
  readonly steps: Steps<T>;
  made: T | undefined;
}

/**
 * A description of all methods, put together when first asked for; frozen, so that its text is kept as well. Who asks
 * meanwhile goes on with the same one, in its own time: 500 at once would make 500, of half a megabyte each, and nobody
 * is to wait for somebody else's turns.
 */
export function kept<T extends object>(describe: (methods: readonly Method[]) => Steps<T>) {
  const descriptions = new WeakMap<readonly Method[], Description<T>>();
  return (methods: readonly Method[], slice: TimeSlice): Promise<T> => {
    const one = descriptions.get(methods) ?? { steps: describe(methods), made: undefined };
    descriptions.set(methods, one);
    return slice.run(goOn(one));
  };
}

function* goOn<T>(one: Description<T>): Steps<T> {
  for (;;) {
    if (one.made !== undefined) return one.made;
    const { done, value } = one.steps.next();
    if (done) {
      one.made = Object.freeze(value) as T;
      return one.made;
    }
    yield;
  }
}
