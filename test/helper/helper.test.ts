import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { Daemon } from "../daemon/daemon.ts";
import { fewOf } from "../runs.ts";

const HELPER = new URL("helper.py", import.meta.url).pathname;
const topology = JSON.parse(
  readFileSync(new URL("../../src/demo/hosts/intel.json", import.meta.url), "utf8"),
);

const hasPython = spawnSync("python3", ["-c", "import socket; socket.recv_fds"]).status === 0;

/** Runs the helper; what it has printed so far can be waited for. */
function start(...args: string[]) {
  const child = spawn("python3", [HELPER, ...args], { stdio: ["pipe", "pipe", "pipe"] });
  let text = "";
  let wake = () => {};
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (bytes) => {
      text += bytes;
      wake();
    });
  }
  const ended = once(child, "close").then(([status]) => ({ status, text }));
  const printed = async (pattern: RegExp) => {
    while (!pattern.test(text)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { child, ended, printed };
}

it.skipIf(!hasPython)(
  "the helper in Python starts a command with its descriptors, and comes back after a restart (takes python3)",
  async () => {
    const daemon = await Daemon.start({ topology });
    // The command sees open files under the numbers that it was told, and lasts until its input ends.
    const helper = start(
      daemon.socket,
      "4G",
      "0000:83:00.0",
      "sh",
      "-c",
      "test -e /proc/self/fd/{iommufd} && test -e /proc/self/fd/{device} && echo opened; cat",
    );
    await helper.printed(/opened/);
    const { devices } = await (await daemon.client()).call("query-devices", { device: "0000:83:00.0" });
    expect(devices[0]?.state).toBe("handed-over");
    await daemon.stop();
    await helper.printed(/the daemon has gone/);
    const next = await Daemon.start({ topology, socket: daemon.socket });
    await helper.printed(/back, and the context is/);
    helper.child.stdin.end();
    expect((await helper.ended).status).toBe(0);
    await next.stop();
  },
);

it.skipIf(!hasPython)("the helper says what would fit when the guest does not (takes python3)", async () => {
  const daemon = await Daemon.start({ topology });
  const UNFIT = [
    ["1T", "0000:83:00.0", "at most 510G of memory"],
    ["1G", "0000:03:00.0", "it does not fit: firmware demands a 1:1 mapping"],
  ] as const;
  for (const [memory, device, told] of fewOf(UNFIT, 1)) {
    const { status, text } = await start(daemon.socket, memory, device, "true").ended;
    expect({ status, text }).toEqual({ status: 1, text: expect.stringContaining(told) });
  }
  await daemon.stop();
});

it.skipIf(!hasPython)("the helper tells how it is called (takes python3)", async () => {
  const CALLS = [
    [["--help"], 0],
    [["socket", "1G"], 1],
  ] as const;
  for (const [args, status] of fewOf(CALLS, 1)) {
    const told = expect.stringContaining("helper.py SOCKET MEMORY DEVICE COMMAND...\n");
    expect(await start(...args).ended).toEqual({ status, text: told });
  }
});
