import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { connect, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { MetricsServer } from "../../src/rpc/metrics-server.ts";

let directory: string;
let logged: string[];
let server: MetricsServer;
/** How often anything was measured. */
let measured: number;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-metrics-"));
  logged = [];
  measured = 0;
  let came = 0;
  const everybody = {
    // Of two users in turn.
    peerOf: () => ({ uid: came++ % 2, gid: 0, pid: 1, groups: [] }),
    roleOf: () => "control" as const,
  };
  const log = pino({ hooks: { logMethod: ([, message]) => logged.push(message as unknown as string) } });
  const measure = () => {
    measured++;
    return [];
  };
  server = new MetricsServer(everybody, measure, log);
});
afterEach(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

/** The status of an answer, or the code of what has gone wrong. */
function get(socketPath: string, path = "/metrics"): Promise<number | string | undefined> {
  return new Promise((resolve) => {
    request({ socketPath, path, agent: false }, (response) => resolve(response.resume().statusCode))
      .on("error", (error: NodeJS.ErrnoException) => resolve(error.code))
      .end();
  });
}

it("serves at several sockets, and closes all of them", async () => {
  const paths = ["a", "b"].map((name) => join(directory, name));
  for (const path of paths) await server.listen(path, 0o600);
  expect(await Promise.all(paths.map((path) => get(path)))).toEqual([200, 200]);
  await server.close();
  expect(await Promise.all(paths.map((path) => get(path)))).toEqual(["ENOENT", "ENOENT"]);
});

it("goes on when a connection cannot be accepted, and says so in the log", async () => {
  const listening = vi.spyOn(Server.prototype, "listen");
  const path = join(directory, "s");
  await server.listen(path, 0o600);
  const [listener] = listening.mock.contexts as Server[];
  listener?.emit("error", new Error("accept ENFILE"));
  listening.mockRestore();
  expect(logged).toEqual(["accepting a connection failed"]);
  expect(await get(path)).toBe(200);
});

it.each([
  ["/metrics?of=all", 200],
  ["http://localhost/metrics", 200],
  ["http://localhost/metrics?of=all", 200],
  ["http://localhost/", 404],
  ["http://metrics", 404],
  ["/metrics/more", 404],
])("has the metrics at one path, however the target is written: %s", async (target, status) => {
  const path = join(directory, "s");
  await server.listen(path, 0o600);
  expect(await get(path, target)).toBe(status);
});

/** What comes back until the server ends. `pieces` are sent one after the other; `isHalf`: and then the end. */
async function answerTo(path: string, pieces: readonly string[], isHalf = false): Promise<string> {
  const socket = connect({ path, allowHalfOpen: true }).setEncoding("latin1");
  for (const piece of pieces) await new Promise((resolve) => socket.write(piece, resolve));
  if (isHalf) socket.end();
  let text = "";
  for await (const chunk of socket) text += chunk;
  socket.destroy();
  return text;
}

/** The status and the body. */
function parsed(answer: string): [status: number, body: string | undefined] {
  return [Number(/^HTTP\/1\.1 (\d+) /.exec(answer)?.[1]), answer.split("\r\n\r\n")[1]];
}

const GET = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";

it("answers one request a connection, however many have come at once", async () => {
  const path = join(directory, "s");
  await server.listen(path, 0o600);
  const answer = await answerTo(path, [GET.repeat(1000)]);
  expect([measured, answer.match(/HTTP\/1\.1 200/g)?.length]).toEqual([1, 1]);
});

it.each([
  ["in pieces", [...GET], 200, "\n# EOF\n"],
  ["with LF alone", [GET.replaceAll("\r", "")], 200, "\n# EOF\n"],
  ["behind an empty line", [`\r\n${GET}`], 200, "\n# EOF\n"],
  ["of HTTP/1.0", ["GET /metrics HTTP/1.0\r\n\r\n"], 200, "\n# EOF\n"],
  ["for the head alone", [GET.replace("GET", "HEAD")], 200, ""],
  ["that would change something", [GET.replace("GET", "POST")], 405, "only GET is known here\n"],
  ["that is none", ["hello\r\n\r\n"], 400, "that is no request of HTTP/1\n"],
  ["without an end", ["x".repeat(20_000)], 431, "a request has at most 16384 characters here\n"],
])("answers a request %s, also when nothing follows", async (_what, pieces, status, body) => {
  const path = join(directory, "s");
  await server.listen(path, 0o600);
  expect(parsed(await answerTo(path, pieces))).toEqual([status, body]);
  expect(parsed(await answerTo(path, pieces, true))).toEqual([status, body]);
});

it("ends the connection of who ends before the request does", async () => {
  const path = join(directory, "s");
  await server.listen(path, 0o600);
  expect(await answerTo(path, ["GET /metrics HTTP/1.1\r\n"], true)).toBe("");
});

it("lets in others while a user has all the connections that one may have", async () => {
  const path = join(directory, "s");
  await server.listen(path, 0o600);
  // Every other one is the same user's.
  const open = Array.from({ length: 31 }, () => connect(path));
  for (const socket of open) await new Promise((resolve) => socket.once("connect", resolve));
  // The first user has 16 by now.
  expect(await get(path)).toBe(200);
  for (const socket of open) socket.destroy();
});
