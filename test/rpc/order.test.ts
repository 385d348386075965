import fc from "fast-check";
import { afterEach, expect, it } from "vitest";
import { runs } from "../runs.ts";
import { cycle } from "../schedules/schedule.ts";
import { request, type StubClock, startServer } from "./stub.ts";

const running: Awaited<ReturnType<typeof startServer>>[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

async function start(clock: StubClock) {
  const server = await startServer({}, undefined, { clock });
  running.push(server);
  return server;
}

it("what comes while a request waits, chunk by chunk, is executed and answered in order", async () => {
  const { connect, log, gate, entered } = await start({ now: 0 });
  const [client, witness] = [await connect(), await connect()];
  client.send(request(0, "wait"));
  await entered.opened;
  // Of the second chunk a part has to wait: a slice is two milliseconds, and each takes one.
  const spins = [2, 3, 4, 5].map((id) => request(id, "spin"));
  for (const chunk of [[request(1, "count")], spins, [request(6, "refuse")], [request(7, "frozen")]]) {
    client.send(...chunk);
    // The witness is served after what has come before.
    expect(await witness.stillWorks()).toBe(true);
  }
  gate.open();
  const ids = [];
  for (let n = 0; n < 8; n++) ids.push((await client.next()).id);
  expect(ids).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(log.filter((name) => name !== "echo")).toEqual([
    ...["wait", "count", "spin", "spin", "spin", "spin"],
    ...["refuse", "frozen"],
  ]);
});

it("however a stream is cut, and whenever it is others' turn, it is answered in order", async () => {
  // Every look at it may be the last one of a slice.
  let isJump = () => false;
  let time = 0;
  const { connect } = await start({
    get now() {
      if (isJump()) time += 5;
      return time;
    },
  });
  const kinds = fc.constantFrom("echo", "echo-later", "refuse-later", "refuse", undefined);
  const many = <T>(each: fc.Arbitrary<T>, count: number) =>
    fc.array(each, { minLength: count, maxLength: count });
  const streams = fc.record({
    lines: many(kinds, 100),
    chunks: many(fc.tuple(fc.integer({ min: 1, max: 100 }), fc.nat(9)), 20),
    jumps: many(fc.nat(2), 20).map((all) => all.map((each) => each === 0)),
  });
  await fc.assert(
    fc.asyncProperty(streams, async ({ lines, chunks, jumps }) => {
      isJump = cycle(jumps);
      const nextCut = cycle(chunks);
      const client = await connect();
      const bytes = Buffer.from(
        lines.map((kind, id) => `${kind ? JSON.stringify(request(id, kind)) : "no JSON"}\n`).join(""),
      );
      for (let at = 0; at < bytes.length; ) {
        const [size, pause] = nextCut();
        client.write(bytes.subarray(at, at + size));
        at += size;
        if (pause === 0) await new Promise(setImmediate);
      }
      const ids = [];
      for (const _ of lines) ids.push((await client.next()).id);
      expect(ids).toEqual(lines.map((kind, id) => (kind ? id : null)));
      client.socket.destroy();
    }),
    { numRuns: runs(30) },
  );
});
