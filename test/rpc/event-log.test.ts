import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import type { Dialect } from "../../src/rpc/dialect.ts";
import { jsonRpc } from "../../src/rpc/dialects/json-rpc.ts";
import { qmp } from "../../src/rpc/dialects/qmp.ts";
import { EventLog } from "../../src/rpc/event-log.ts";
import { collectGarbage } from "./garbage.ts";

const NOW = 1_700_000_000_123;
const logOf = (given: Partial<typeof DEFAULT_LIMITS> = {}) =>
  new EventLog({ ...DEFAULT_LIMITS, ...given } as typeof DEFAULT_LIMITS, () => NOW);

const event = fc.record({
  method: fc.constantFrom("A", "B", "C"),
  size: fc.nat(80),
  letter: fc.constantFrom("x", "é", "€"),
});

describe("EventLog", () => {
  it("counts on from an earlier life, and has what is left of its events", () => {
    const earlier = { sequence: 41, timestamp: { seconds: 1, microseconds: 0 } };
    const log = logOf();
    log.takeOver([{ method: "B", text: JSON.stringify(earlier) }]);
    expect([log.sequence, log.oldest]).toEqual([41, 41]);
    log.add("A", { a: 1 });
    expect([log.sequence, log.oldest]).toEqual([42, 41]);
    expect([...log.after(0)].map(({ params }) => params)).toEqual([
      earlier,
      { a: 1, sequence: 42, timestamp: { seconds: 1_700_000_000, microseconds: 123_000 } },
    ]);
  });

  it("gives who takes its events one by one all that are remembered then, whatever is added meanwhile", () => {
    for (const added of [3, 2000, 5000]) {
      const log = logOf({ "event-history": 1500 });
      for (let i = 0; i < 1500; i++) log.add("A", {});
      const events = log.after(0);
      const taken = Array.from({ length: 10 }, () => events.next().value?.sequence as number);
      for (let i = 0; i < added; i++) log.add("A", {});
      for (const { sequence } of events) taken.push(sequence);
      const first = Math.max(11, log.oldest);
      const rest = Array.from({ length: log.sequence - first + 1 }, (_, i) => first + i);
      expect(taken).toEqual([...Array.from({ length: 10 }, (_, i) => i + 1), ...rest]);
    }
  });

  it("keeps nothing of what it has forgotten", async () => {
    const log = logOf({ "event-history": 2 });
    const added = Array.from({ length: 5 }, () => new WeakRef(log.add("A", {}).params));
    await nextTurn();
    collectGarbage();
    expect(added.map((params) => params.deref() !== undefined)).toEqual([false, false, false, true, true]);
  });

  it("gives what a plain list of the last events gives, whatever it has forgotten", () => {
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 60 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 200, max: 3000 }),
        fc.nat(70),
        fc.integer({ min: 1, max: 2000 }),
        (events, history, bytes, since, size) => {
          const log = logOf({ "event-history": history, "max-event-history": bytes } as never);
          let list: { method: string; sequence: number; text: string }[] = [];
          const weight = () => list.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
          for (const [index, { method, size, letter }] of events.entries()) {
            const params = { text: letter.repeat(size) };
            log.add(method, params);
            list.push({ method, sequence: index + 1, text: JSON.stringify({ ...params, ...log.stamp() }) });
            while (list.length > history || weight() > bytes) list = list.slice(1);
          }
          expect(log.oldest).toBe(list[0]?.sequence ?? events.length + 1);
          const behind = list.filter(({ sequence }) => sequence > since);
          expect([...log.after(since)].map(({ sequence, text }) => ({ sequence, text }))).toEqual(
            behind.map(({ sequence, text }) => ({ sequence, text })),
          );
          expect(log.bytesAfter(since)).toBe(
            behind.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0),
          );
          expect(log.count(null)).toBe(events.length);
          expect(log.count(new Set(["A"]))).toBe(events.filter(({ method }) => method === "A").length);
          for (const dialect of [jsonRpc, qmp()]) {
            for (const names of [null, new Set(["A"])]) {
              const wanted = behind.filter(({ method }) => names?.has(method) ?? true);
              expect(readAll(log, since, dialect, size, names)).toEqual(
                wanted.map(({ sequence }) => sequence),
              );
            }
          }
        },
      ),
    );
  });

  it("makes a piece once for all who are at the same place", () => {
    const log = logOf();
    for (let i = 0; i < 10; i++) log.add("A", { i });
    const piece = log.piece(3, jsonRpc, 1000, null);
    expect(log.piece(3, jsonRpc, 1000, null)).toBe(piece);
    log.add("A", { i: 10 });
    expect(log.piece(3, jsonRpc, 1_000_000, null).last).toBe(11);
  });

  it("ends a piece with the event that fills it", () => {
    const log = logOf();
    for (let i = 0; i < 10; i++) log.add("A", { text: "x".repeat(100) });
    const { lines, last } = log.piece(0, jsonRpc, 1, null);
    expect([last, lines.toString().split("\n").length - 1]).toEqual([1, 1]);
  });
});

/** The sequences of all events behind `since`, read piece by piece. */
function readAll(
  log: EventLog,
  since: number,
  dialect: Dialect,
  size: number,
  names: ReadonlySet<string> | null,
): number[] {
  let text = "";
  for (let at = since; at < log.sequence; ) {
    const { lines, last } = log.piece(at, dialect, size, names);
    if (last === at) break;
    text += lines;
    at = last;
  }
  const lines = text.split("\n").slice(0, -1);
  return lines.map((line) => {
    const { params, data } = JSON.parse(line);
    return (params ?? data).sequence;
  });
}
