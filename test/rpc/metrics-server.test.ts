import { mkdtempSync, rmSync } from "node:fs";
import { Server as HttpServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { MetricsServer } from "../../src/rpc/metrics-server.ts";

let directory: string;
let logged: string[];
let server: MetricsServer;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-metrics-"));
  logged = [];
  const everybody = {
    peerOf: () => ({ uid: 0, gid: 0, pid: 1, groups: [] }),
    roleOf: () => "control" as const,
  };
  const log = pino({ hooks: { logMethod: ([, message]) => logged.push(message as unknown as string) } });
  server = new MetricsServer(everybody, () => [], log);
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
  const listening = vi.spyOn(HttpServer.prototype, "listen");
  const path = join(directory, "s");
  await server.listen(path, 0o600);
  const [http] = listening.mock.contexts as HttpServer[];
  http?.emit("error", new Error("accept ENFILE"));
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
