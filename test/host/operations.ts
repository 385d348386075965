import assert from "node:assert/strict";
import fc from "fast-check";
import type { Context } from "../../src/host/contexts/context.ts";
import type { Host } from "../../src/host/host.ts";
import { NamedRanges } from "../../src/ranges/named-ranges.ts";
import { finish } from "../../src/ranges/steps.ts";

/** The contexts that operations are about; the first is always there. */
export const CONTEXTS = ["default", "guest"];

const address = fc.oneof(
  fc.bigInt(0n, 0x40n).map((page) => page << 12n),
  fc.bigInt(0n, 0xffffffffffffffffn),
  fc.constantFrom(0n, 0xfee00000n, 0x7fffffffffn, 0xffffffffffffffffn),
);
export const range = fc
  .tuple(address, address)
  .map(([a, b]) => (a <= b ? { start: a, last: b } : { start: b, last: a }));

const namedRange = fc
  .tuple(range, fc.option(fc.constantFrom("ram", "rom"), { nil: undefined }))
  .map(([range, name]) => ({ ...range, name }));

/** What a client can ask of a host with these devices, as data. */
export function operationOn(devices: readonly string[]) {
  const device = fc.constantFrom(...devices);
  const context = fc.constantFrom(...CONTEXTS);
  /** The n-th IOAS of the context, or of the device's context; an id that does not exist where there are fewer. */
  const nth = fc.integer({ min: 0, max: 2 });
  return fc.oneof(
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("create-context" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("destroy-context" as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("create-ioas" as const), context }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("destroy-ioas" as const), context, nth }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("allow" as const),
        context,
        nth,
        ranges: fc.array(namedRange, { maxLength: 2 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("probe" as const), device }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("hold" as const), device, context }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("release" as const), device }) },
    { weight: 8, arbitrary: fc.record({ kind: fc.constant("attach" as const), device, nth }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("detach" as const), device }) },
  );
}

export type Operation = ReturnType<typeof operationOn> extends fc.Arbitrary<infer T> ? T : never;

function ioasOf(host: Host, context: string | undefined, nth: number): number {
  const ids =
    host
      .contexts()
      .find(({ name }) => name === context)
      ?.ioases.keys() ?? [];
  return [...ids][nth] ?? 99;
}

/** Asks it, and resolves to the answer. */
export async function perform(host: Host, step: Operation): Promise<unknown> {
  switch (step.kind) {
    case "create-context":
      return host.createContext("guest", "persistent");
    case "destroy-context":
      return host.destroyContext("guest");
    case "create-ioas":
      return host.createIoas(step.context);
    case "destroy-ioas":
      return host.destroyIoas(step.context, ioasOf(host, step.context, step.nth));
    case "allow":
      return host.allowRanges(
        step.context,
        ioasOf(host, step.context, step.nth),
        finish(NamedRanges.from(step.ranges)),
      );
    case "probe":
      return host.probe(step.device);
    case "hold":
      return host.hold(step.device, step.context);
    case "release":
      return host.release(step.device);
    case "attach":
      return host.attach(step.device, ioasOf(host, contextOf(host, step.device), step.nth));
    case "detach":
      return host.detach(step.device);
  }
}

function contextOf(host: Host, name: string): string | undefined {
  const holds = (context: Context) =>
    host.devicesIn(context).some(({ platform }) => platform.device === name);
  return host.contexts().find(holds)?.name;
}

/** Of devices whose apertures are known too, the prediction is the answer, not just no contradiction. */
export async function assertPredictionIsExact(host: Host, known: ReadonlySet<string>) {
  for (const ioas of host.contexts().flatMap((context) => [...context.ioases.values()])) {
    if (![...ioas.devices].every((name) => known.has(name))) continue;
    const answer = await host.allowed(ioas);
    assert(host.predict(ioas.devices).ranges.equals(answer.ranges), "the prediction is not the answer");
  }
}
