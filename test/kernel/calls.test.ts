import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { beforeAll, describe, expect, it } from "vitest";
import { connect } from "../../src/client/index.ts";
import { allowedCalls, allowedNames, callsIn, callsOf } from "../systemd/call-filter.ts";
import { install, mainPid, SOCKET, shell } from "./systemd.ts";

const DEVICE = "0000:00:05.0";
const OTHER = "0000:00:06.0";
const CAN = spawnSync("strace", ["--version"]).status === 0;
if (!CAN) console.warn("calls.test.ts: no strace, so nobody records what the service calls");

/** strace, looking at whatever process 1 starts from now on. Its files are named after the thread. */
async function trace(files: string) {
  const strace = spawn("strace", ["-ff", "-o", files, "-p", "1"], { stdio: ["ignore", "ignore", "pipe"] });
  for await (const line of createInterface({ input: strace.stderr })) if (line.includes("attached")) break;
  strace.stderr.resume();
  return strace;
}

/** What the service's threads have called since it is what it is: before that it is systemd, and not filtered. */
const calledBy = (threads: ReadonlySet<string>, files: string) =>
  [...threads].flatMap((thread) => {
    const text = readFileSync(`${files}.${thread}`, "utf8");
    return callsIn(text.slice(Math.max(0, text.lastIndexOf('execve("/usr/bin/iovad"'))));
  });

beforeAll(() => {
  install();
}, 300_000);

describe.skipIf(!CAN)("the filter of system calls", () => {
  it("lets through what the service calls in two lives, with real devices", async () => {
    const files = `${mkdtempSync("/tmp/iovad-calls-")}/of`;
    const strace = await trace(files);
    const threads = new Set<string>();
    const note = () => {
      for (const thread of readdirSync(`/proc/${mainPid()}/task`)) threads.add(thread);
    };

    // Whoever is traced starts slowly.
    const options = { socket: SOCKET, patience: 120_000 };
    const client = await connect(options);
    await client.call("probe-device", { device: OTHER });
    const { ioas } = await client.call("create-ioas");
    await client.call("hold-device", { device: DEVICE });
    await client.call("attach-device", { device: DEVICE, ioas });
    await client.call("allow-ranges", { ioas, ranges: [{ start: "0x100000", last: "0x1fffff" }] });
    await client.call("query-devices", { users: true });
    const run = spawnSync("iovad-run", ["--rlimit-mode", "--device", OTHER, "--", "true"]);
    expect(run.status).toBe(0);
    shell("systemctl reload iovad.service");
    note();
    process.kill(mainPid(), "SIGKILL");
    const next = await connect(options);
    expect(await next.call("query-allowed-ranges", { ioas })).toMatchObject({ devices: [DEVICE] });
    await next.call("release-device", { device: DEVICE });
    await next.call("destroy-ioas", { ioas });
    await next.close();
    note();
    shell("systemctl stop iovad.service");
    strace.kill("SIGINT");

    const called = new Set(calledBy(threads, files));
    // Of these nothing could be held, attached or journalled.
    for (const call of ["ioctl", "sendmsg", "memfd_create", "ftruncate"]) expect(called).toContain(call);
    const through = allowedCalls();
    expect([...called].filter((call) => !through.has(call)).sort()).toEqual([]);
    const unused = allowedNames.filter((name) => !callsOf(name).some((call) => called.has(call)));
    expect(unused.filter((name) => name.startsWith("@"))).toEqual([]);
    console.log(`called: ${[...called].sort().join(" ")}\nallowed and not called: ${unused.join(" ")}`);
  }, 600_000);
});
