import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { connect } from "../../src/client/index.ts";
import { MAIN } from "../daemon/daemon.ts";
import { ServiceManager } from "../service/service-manager.ts";
import { allowedCalls, allowedNames, callsIn, callsOf } from "./call-filter.ts";

const has = (command: string, option: string) => spawnSync(command, [option]).status === 0;
const CAN = has("strace", "--version") && has("systemd-analyze", "--version");
if (!CAN) console.warn("calls.test.ts: no strace or no systemd-analyze, so nobody compares the filter");

/**
 * What Node.js 22 and 24 try at their start, and do without where it is refused (libuv: src/unix/linux.c: uv__iou_init; seen on
 * both with kernel.io_uring_disabled=2).
 */
const TRIED = /^io_uring_/;

/** The system calls of a daemon's life on this machine, supervised as systemd does: as strace has them. */
async function record(): Promise<Set<string>> {
  const directory = mkdtempSync(join(tmpdir(), "iovad-calls-"));
  const manager = new ServiceManager(join(directory, "notify"));
  const [socket, calls] = [join(directory, "s"), join(directory, "calls")];
  const strace = ["-f", "-qq", "-D", "-o", calls, "--", process.execPath, MAIN, "--socket", socket];
  const env = { ...process.env, NOTIFY_SOCKET: join(directory, "notify"), WATCHDOG_USEC: "2000000" };
  const daemon = spawn("strace", strace, { env, stdio: "ignore" });
  const ended = once(daemon, "exit");
  await manager.heard("READY=1");
  const client = await connect({ socket });
  await client.call("query-devices", { users: true });
  await client.call("query-status");
  await client.request("create-ioas").catch(() => undefined);
  daemon.kill("SIGHUP");
  await manager.heard("RELOADING=1");
  await client.close();
  daemon.kill("SIGTERM");
  expect(await ended).toEqual([0, null]);
  manager.close();
  const text = readFileSync(calls, "utf8");
  rmSync(directory, { recursive: true });
  return new Set(callsIn(text));
}

describe.skipIf(!CAN)("the filter of system calls", () => {
  it("lets through what the daemon calls, and has no set for nothing", async () => {
    const recorded = await record();
    const through = allowedCalls();
    expect([...recorded].filter((call) => !through.has(call) && !TRIED.test(call)).sort()).toEqual([]);
    const unused = allowedNames.filter((name) => !callsOf(name).some((call) => recorded.has(call)));
    expect(unused.filter((name) => name.startsWith("@"))).toEqual([]);
    console.log(
      `recorded: ${[...recorded].sort().join(" ")}\nallowed and not seen here: ${unused.join(" ")}`,
    );
  });
});
