import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { jsonRpc } from "../../src/rpc/dialects/json-rpc.ts";
import type { Reader } from "../../src/rpc/framing.ts";
import { Client, request, startServer } from "./stub.ts";

let server: Awaited<ReturnType<typeof startServer>> | undefined;
afterEach(() => server?.stop());

/** A request of stub.ts that takes a millisecond: a turn of 2 ms has room for 3 at most. */
const SPINS_IN_A_TURN = 3;
/** Turns that a flooding neighbour has at most while one exchange goes to and fro. */
const TURNS_IN_AN_EXCHANGE = 4;
const ROUNDS = 40;
/** Milliseconds, more than a turn has. */
const CUTTING = 3;

/** Sends the same request for as long as it is let, so that there is always more to read. */
const FLOOD = `
  const [, path, size] = process.argv;
  const params = { value: "x".repeat(Number(size)) };
  const line = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "spin", params }) + "\\n";
  const socket = require("node:net").connect(path);
  const flood = () => { while (socket.write(line)); };
  socket.on("data", () => {}).on("drain", flood).on("error", () => process.exit(0));
  flood();
`;

describe("a client gets its turns", () => {
  it.each([
    ["one neighbour sends small requests", 1, 20],
    ["one neighbour sends requests that fill a read each", 1, 65_400],
    ["three neighbours send small requests", 3, 20],
  ])("while %s without end", async (_what, neighbours, size) => {
    server = await startServer({}, undefined, { clock: { now: 0 } });
    const { connect, log, path } = server;
    const quick = await connect();
    const flooders = Array.from({ length: neighbours }, () =>
      spawn(process.execPath, ["-e", FLOOD, path, String(size)], { stdio: "ignore" }),
    );
    const spins = () => log.filter((name) => name === "spin").length;
    const between: number[] = [];
    try {
      while (spins() < ROUNDS) expect(await quick.stillWorks()).toBe(true);
      for (let round = 0; round < ROUNDS; round++) {
        const before = spins();
        expect(await quick.stillWorks()).toBe(true);
        between.push(spins() - before);
      }
    } finally {
      for (const flooder of flooders) {
        flooder.kill("SIGKILL");
        await once(flooder, "exit");
      }
    }
    expect(Math.max(...between)).toBeLessThanOrEqual(neighbours * SPINS_IN_A_TURN * TURNS_IN_AN_EXCHANGE);
  });
});

it("neighbours that flood get equal turns", async () => {
  server = await startServer({}, undefined, { clock: { now: 0 } });
  const { connect } = server;
  const flooders = await Promise.all(Array.from({ length: 4 }, () => connect()));
  const finished: number[] = [];
  const all = flooders.map(async (flooder, index) => {
    for (let id = 0; id < 100; id++) {
      await flooder.next();
      finished.push(index);
    }
  });
  for (const flooder of flooders) {
    flooder.send(...Array.from({ length: 100 }, (_, id) => request(id, "spin")));
  }
  await Promise.all(all);
  // When half of all is done, nobody has less than half of an equal share.
  const half = finished.slice(0, finished.length / 2);
  for (const index of flooders.keys()) {
    expect(half.filter((each) => each === index).length).toBeGreaterThanOrEqual(25);
  }
});

it("of chunks that have come in one turn, each is cut when there is time for it", async () => {
  const clock = { now: 0 };
  server = await startServer({}, undefined, { clock });
  const cutIn: number[] = [];
  let turn = 0;
  const slow = (limit: () => number): Reader => {
    const reader = jsonRpc.reader(limit);
    const push = reader.push.bind(reader);
    return Object.assign(reader, {
      push(chunk: Buffer) {
        clock.now += CUTTING;
        cutIn.push(turn);
        setImmediate(() => turn++);
        return push(chunk);
      },
    });
  };
  const path = `${server.path}-slow`;
  await server.server.listen(path, 0o600, () => ({ ...jsonRpc, reader: slow }));
  const clients = Array.from({ length: 20 }, () => new Client(path));
  for (const client of clients) await client.next();
  for (const client of clients) client.send(request(1, "echo"));
  for (const client of clients) expect(await client.next()).toMatchObject({ id: 1, result: {} });
  for (const client of clients) client.socket.destroy();
  expect(cutIn).toHaveLength(clients.length);
  // The first of a turn is not the only one where a turn begins behind it.
  expect(new Set(cutIn).size).toBeGreaterThan(clients.length / 2);
});
