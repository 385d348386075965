import assert from "node:assert/strict";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { defineMethod, type Method } from "../../src/rpc/method.ts";
import { excludedBy, type Simulation, setOf, type TestRegion } from "../host/simulation.ts";

/** What was begun. */
export interface Begun {
  /** For each connection, by its number, the methods in their order. */
  readonly of: Map<number, string[]>;
  /** From when on nothing must begin. */
  isOver: boolean;
}

/** The methods, which take note of it when they begin. What they find wrong is a fault of ours to the server. */
export function noted(methods: readonly Method[], simulation: Simulation, begun: Begun): Method[] {
  return methods.map((method) =>
    defineMethod({
      ...method,
      params: () => method.params,
      result: () => method.result,
      handler(params, call) {
        assert(!begun.isOver, `${method.name} has begun while the host ends`);
        const { id } = call.connection;
        begun.of.set(id, [...(begun.of.get(id) ?? []), method.name]);
        const result = method.handler(params, call);
        if (method.name !== "query-allowed-ranges" || !(result instanceof Promise)) return result;
        return result.then((allowed) => withoutItsDevices(allowed as Allowed, simulation));
      },
    }),
  );
}

interface Allowed {
  readonly context: string;
  readonly ioas: number;
  readonly devices: readonly string[];
  readonly ranges: readonly TestRegion[];
}

/** A device that is said to be in the IOAS takes its region out of it; unless it has left, and that is still to be told. */
async function withoutItsDevices(allowed: Allowed, simulation: Simulation): Promise<Allowed> {
  const { context, ioas, devices } = allowed;
  const ranges = setOf(...allowed.ranges);
  const promised = devices.filter((device) => !ranges.intersect(excludedBy(device)).isEmpty);
  if (promised.length === 0) return allowed;
  const actual = RangeSet.from(await simulation.actual(context, ioas));
  for (const device of promised) {
    assert(!actual.intersect(excludedBy(device)).isEmpty, `the region of ${device} is promised`);
  }
  return allowed;
}
