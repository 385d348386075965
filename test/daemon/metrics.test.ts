import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { get, type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { iovactl } from "../ctl/command-line.ts";
import { Daemon } from "./daemon.ts";

const topology = JSON.parse(readFileSync(new URL("../../src/demo/hosts/amd.json", import.meta.url), "utf8"));

let daemon: Daemon;
let directory: string;
let socketPath: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "iovad-metrics-"));
  socketPath = join(directory, "metrics.sock");
  daemon = await Daemon.start({ topology, args: ["--metrics-socket", socketPath] });
  const client = await daemon.client();
  await client.call("query-devices");
  await client.request("query-nothing").catch(() => {});
  await client.call("probe-device", { device: "0000:99:00.0" }).catch(() => {});
});
afterAll(async () => {
  await daemon.stop();
  rmSync(directory, { recursive: true });
});

async function fetchText(path: string, headers = {}, method = "GET") {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ socketPath, path, headers, method }, resolve).on("error", reject).end();
  });
  let text = "";
  for await (const bytes of response) text += bytes;
  return { status: response.statusCode, type: response.headers["content-type"], text };
}

/** The samples of a metric, by their labels. */
async function samples(name: string): Promise<Record<string, number>> {
  const { metrics } = await (await daemon.client()).call("query-metrics");
  const metric = metrics.find((each) => each.name === name);
  if (!metric || metric.type === "histogram") throw new Error(`no ${name}`);
  return Object.fromEntries(
    metric.samples.map(({ labels, value }) => [Object.values(labels).join(" "), value]),
  );
}

it("counts requests by method and outcome; names that are no methods are one", async () => {
  expect(await samples("iovad_requests_total")).toMatchObject({
    "query-devices done": 1,
    "unknown MethodNotFound": 1,
    "probe-device DeviceNotFound": 1,
  });
});

it("knows how many devices are in which state, and every limit", async () => {
  const client = await daemon.client();
  const { devices } = await client.call("query-devices", { available: true });
  const device = devices[0]?.device as string;
  const before = await samples("iovad_devices");
  await client.call("hold-device", { device });
  expect(await samples("iovad_devices")).toEqual({
    ...before,
    observed: (before.observed ?? 0) - 1,
    held: 1,
  });
  await client.call("release-device", { device });
  expect(Object.keys(await samples("iovad_limit"))).toEqual(Object.keys(LIMITS));
});

it("knows the contexts by their lease, and the IO address spaces", async () => {
  const client = await daemon.client();
  const before = await samples("iovad_ioas");
  await client.call("create-context", { context: "leased", lease: "connection" });
  await client.call("create-ioas", { context: "leased" });
  expect(await samples("iovad_contexts")).toEqual({ persistent: 1, connection: 1, "handed-over": 0 });
  expect(await samples("iovad_ioas")).toEqual({ "": (before[""] ?? 0) + 1 });
  await client.call("destroy-context", { context: "leased" });
});

it("knows what the process costs", async () => {
  expect((await samples("process_resident_memory_bytes"))[""]).toBeGreaterThan(2 ** 20);
  const before = (await samples("process_cpu_seconds_total"))[""] as number;
  expect((await samples("process_cpu_seconds_total"))[""]).toBeGreaterThanOrEqual(before);
});

it("serves the same over HTTP, as OpenMetrics", async () => {
  const { status, type, text } = await fetchText("/metrics");
  expect({ status, type }).toEqual({
    status: 200,
    type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
  });
  expect(text).toContain("# TYPE iovad_requests counter\n");
  expect(text).toMatch(/^iovad_requests_total\{method="query-devices",outcome="done"\} \d+$/m);
  expect(text.endsWith("\n# EOF\n")).toBe(true);
});

it("serves the older form to who asks for plain text alone", async () => {
  const { type, text } = await fetchText("/metrics", { accept: "text/plain;version=0.0.4" });
  expect(type).toContain("version=0.0.4");
  expect(text).toContain("# TYPE iovad_requests_total counter\n");
});

it("has nothing else, and changes nothing", async () => {
  expect((await fetchText("/")).status).toBe(404);
  expect((await fetchText("/metrics", {}, "POST")).status).toBe(405);
});

it("makes no sample of what a client makes up", async () => {
  const client = await daemon.client();
  const names = async () => Object.keys(await samples("iovad_requests_total")).sort();
  await names();
  const before = await names();
  for (let each = 0; each < 50; each++) await client.request(`query-${each}`).catch(() => {});
  expect(await names()).toEqual(before);
});

/** Who installs nothing is not kept from the rest; .ci/run installs it. */
const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;
it.skipIf(!hasPromtool)(
  "promtool, where this machine has it, finds nothing wrong with what iovactl metrics prints",
  async () => {
    const { stdout } = await iovactl(["-s", daemon.socket, "metrics"]);
    const {
      status,
      stderr,
      stdout: said,
    } = spawnSync("promtool", ["check", "metrics"], { input: stdout, encoding: "utf8" });
    expect({ status, stderr, said }).toEqual({ status: 0, stderr: "", said: "" });
  },
);

it("is gone with the daemon", async () => {
  const own = join(directory, "own.sock");
  const other = await Daemon.start({ topology, args: ["--metrics-socket", own] });
  await other.stop();
  const error = await new Promise((resolve) =>
    get({ socketPath: own, path: "/metrics" }, resolve).on("error", resolve),
  );
  expect(error).toMatchObject({ code: "ENOENT" });
});
