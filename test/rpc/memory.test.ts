import { afterEach, describe, expect, it } from "vitest";
import { monotonic } from "../../src/clock.ts";
import { type Client, request, startServer } from "./stub.ts";

let server: Awaited<ReturnType<typeof startServer>>;
afterEach(() => server.stop());

const MOST = 2 ** 20;
const LIMITS = { "max-buffered-per-uid": MOST, "max-buffered": 2 * MOST };
const CUT_OFF = {
  id: null,
  error: { code: -32011, data: { class: "LimitExceeded", limit: "max-buffered-per-uid" } },
};

/** Sends half a line, and resolves when all of it has left. */
async function hold(client: Client, bytes: number): Promise<void> {
  await new Promise((resolve) => client.socket.write("x".repeat(bytes), resolve));
}

describe("a client that makes the daemon keep too much", () => {
  it("of lines without an end is told why and cut off; others go on", async () => {
    server = await startServer(LIMITS);
    const [large, other] = [await server.connect(), await server.connect()];
    await hold(large, 700_000);
    await hold(other, 400_000);
    expect((await large.rest()).at(-1)).toMatchObject(CUT_OFF);
    other.write("\n");
    expect((await other.next()).error.code).toBe(-32700);
    expect(await other.stillWorks()).toBe(true);
  });

  it("of a batch's answers is told why, and the rest of the batch does not run", async () => {
    server = await startServer(LIMITS);
    const client = await server.connect();
    client.send(Array.from({ length: 100 }, (_, id) => request(id, "big")));
    expect((await client.rest()).at(-1)).toMatchObject(CUT_OFF);
    expect(server.log.length).toBeLessThan(20);
    expect(await (await server.connect()).stillWorks()).toBe(true);
  });
});

describe("a line that stands still", () => {
  it("ends its connection after max-partial-seconds, and not before; one that grows goes on", async () => {
    server = await startServer({ "max-partial-seconds": 10 });
    const [idle, stuck] = [await server.connect(), await server.connect()];
    const whole = JSON.stringify(request(1, "echo"));
    // What follows an answered line in the same write has come, too.
    stuck.write(`${whole}\n${whole.slice(0, 10)}`);
    expect((await stuck.next()).id).toBe(1);
    server.server.endStuck(monotonic() + 5000);
    stuck.write(`${whole.slice(10)}\n{`);
    expect((await stuck.next()).id).toBe(1);
    server.server.endStuck(monotonic() + 11_000);
    await stuck.ended;
    expect(await idle.stillWorks()).toBe(true);
  });
});

it("a session whose requests wait for their turns ends when the server closes, with the answers of those that ran", async () => {
  server = await startServer({}, undefined, { closing: 50 });
  const clients = await Promise.all(Array.from({ length: 5 }, () => server.connect()));
  for (const client of clients) client.send(...Array.from({ length: 1000 }, (_, id) => request(id, "spin")));
  for (const client of clients) expect((await client.next()).id).toBe(0);
  await server.server.close();
  const answered = await Promise.all(clients.map((client) => client.rest()));
  const ids = answered.map((answers) => answers.map(({ id }) => id));
  for (const list of ids) expect(list).toEqual(list.map((_, index) => index + 1));
  const all = ids.reduce((sum, list) => sum + list.length + 1, 0);
  expect(server.log.filter((name) => name === "spin")).toHaveLength(all);
  expect(all).toBeLessThan(5000);
});
