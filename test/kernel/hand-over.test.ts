import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Client } from "../../src/client/index.ts";
import { PLATFORMS } from "../conformance/platforms.ts";
import { Daemon } from "../daemon/daemon.ts";
import { endUnsurprised, openDevices, wireRanges } from "./guest.ts";
import { openers, pidOfQemu, qemu, qmp } from "./qemu.ts";

const DEVICE = "0000:00:05.0";
const OTHER = "0000:00:06.0";
const SOCKET = "/run/iovad/iovad.sock";
/** The socket's group, and a user who is nobody but its member. */
const GROUP = 4242;
const AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", `--groups=${GROUP}`, "--"];
/** Where nobody may go: the checkout (init.sh) and node may lie below a directory that only root can enter. */
const [CHECKOUT, NODE] = ["/run/needed/checkout", "/run/node"] as const;

interface Device {
  state: string;
  context: string | null;
}

let daemon: Daemon;
let client: Client;

beforeAll(async () => {
  writeFileSync(NODE, "");
  execFileSync("mount", ["--bind", process.execPath, NODE]);
  // As systemd does for Group=: the directory's group becomes the socket's.
  mkdirSync("/run/iovad");
  chownSync("/run/iovad", 0, GROUP);
  chmodSync("/run/iovad", 0o2750);
  daemon = await Daemon.start({ socket: SOCKET, args: ["--control-group", String(GROUP)] });
  client = await daemon.client();
});
afterAll(async () => {
  // A guest that has outlived its test.
  for (const pid of ["vfio0", "vfio1"].flatMap((name) => openers(`/dev/vfio/devices/${name}`))) {
    if (pid !== daemon.pid) process.kill(pid, "SIGKILL");
  }
  await endUnsurprised(daemon);
});

/** iovad-run as nobody. */
function iovadRun(...args: string[]): ChildProcess {
  const [command = "", ...rest] = [...AS_NOBODY, NODE, `${CHECKOUT}/dist/run/main.js`, ...args];
  return spawn(command, rest, { stdio: ["ignore", "inherit", "inherit"] });
}

async function device(name: string): Promise<Device> {
  const { devices } = await client.call("query-devices", { device: name });
  const [{ state, context }] = devices as [Device, ...unknown[]];
  return { state, context };
}

const refusal = (method: string, params: object) =>
  client.request(method, params).then(
    () => undefined,
    (error: { data: { class: string; processes?: number[] } }) => error.data,
  );

it("nobody may open the nodes itself", () => {
  for (const node of ["/dev/iommu", "/dev/vfio/devices/vfio0"]) {
    const [command = "", ...rest] = [...AS_NOBODY, "dd", `if=${node}`, "count=0", "status=none"];
    expect(() => execFileSync(command, rest, { stdio: "pipe" })).toThrow("Permission denied");
  }
});

it("QEMU, started by nobody, binds the device, and the daemon answers for QEMU's own IOAS", async () => {
  expect(await device(DEVICE)).toEqual({ state: "observed", context: null });
  const run = iovadRun("--context", "vm", "--device", DEVICE, "--rlimit-mode", "--", ...qemu(DEVICE));
  const ended = once(run, "exit");
  // The answer to query-status comes after every device of the command line is there.
  const [status] = await Promise.race([
    qmp("query-status"),
    ended.then(() => Promise.reject(new Error("QEMU has ended"))),
  ]);
  expect(status).toEqual({ return: { status: "prelaunch", running: false } });

  const guest = pidOfQemu();
  expect(openDevices(guest)).toEqual(["/dev/iommu", "/dev/vfio/devices/vfio0"]);
  expect(readFileSync(`/proc/${guest}/status`, "utf8")).toMatch(/^Uid:\t65534\t65534/m);
  expect(pinnedKilobytes(guest)).toBeGreaterThanOrEqual(4096);
  // iovad-run and the daemon have given the device away; the daemon goes on answering for the context.
  expect(openers("/dev/vfio/devices/vfio0")).toEqual([guest]);
  expect(openers("/dev/iommu").toSorted()).toEqual([daemon.pid, guest].toSorted());

  expect(await device(DEVICE)).toEqual({ state: "handed-over", context: "vm" });
  const { contexts } = await client.call("query-contexts");
  expect(contexts).toContainEqual({
    context: "vm",
    shared: true,
    lease: "connection",
    ioas: [],
    devices: [],
  });
  const { ioas } = await client.call("query-ioas", { context: "vm" });
  const [found] = ioas as [{ ioas: number }, ...unknown[]];
  expect(ioas).toEqual([
    { context: "vm", ioas: found.ioas, devices: [], "allow-list": null, discovered: true },
  ]);
  const ask = () => client.call("query-allowed-ranges", { context: "vm", ioas: found.ioas });
  const allowed = await ask();
  expect(allowed).toMatchObject({
    ranges: wireRanges(PLATFORMS.vtd39?.allowed ?? []),
    "iova-alignment": "0x1000",
    cached: false,
  });
  expect(await ask()).toEqual({ ...allowed, generation: allowed.generation + 1 });

  for (const method of ["hold-device", "probe-device"]) {
    expect(await refusal(method, { device: DEVICE })).toMatchObject({
      class: "DeviceBusy",
      processes: [guest],
    });
  }
  await client.call("create-context", { context: "another" });
  expect(await refusal("hand-over-device", { device: DEVICE, context: "another" })).toMatchObject({
    class: "DeviceBusy",
    processes: [guest],
  });
  await client.call("destroy-context", { context: "another" });

  await qmp("quit");
  expect(await ended).toEqual([0, null]);
  expect(await device(DEVICE)).toEqual({ state: "observed", context: null });
  expect(openers("/dev/vfio/devices/vfio0")).toEqual([]);
  expect(openers("/dev/iommu").filter((pid) => pid !== daemon.pid)).toEqual([]);
  // No context is left but the default one, which nobody has opened: whatever was pinned, the kernel has let go.
  while (openDevices(daemon.pid).length > 0) await delay(250);
  expect(await refusal("query-ioas", { context: "vm" })).toMatchObject({ class: "ContextNotFound" });
}, 240_000);

it("a device whose iovad-run was killed stays handed over until the guest ends", async () => {
  // A guest that opens nothing: what it inherits is all it has.
  const run = iovadRun("--context", "vm", "--device", OTHER, "--", "sleep", "1000");
  const ended = once(run, "exit");
  while ((await device(OTHER)).state !== "handed-over") await delay(250);
  while (!openers("/dev/vfio/devices/vfio1").some((pid) => pid !== run.pid)) await delay(250);
  // iovad-run may not have let go of it yet.
  const guest = openers("/dev/vfio/devices/vfio1").find((pid) => pid !== run.pid) as number;
  run.kill("SIGKILL");
  await ended;
  while (openDevices(daemon.pid).length > 0) await delay(250);
  expect(await device(OTHER)).toEqual({ state: "handed-over", context: null });
  expect(await refusal("hold-device", { device: OTHER })).toMatchObject({
    class: "DeviceBusy",
    processes: [guest],
  });
  process.kill(guest, "SIGKILL");
  while (openers("/dev/vfio/devices/vfio1").length > 0) await delay(250);
  expect(await device(OTHER)).toEqual({ state: "observed", context: null });
  await client.call("hold-device", { device: OTHER });
  await client.call("release-device", { device: OTHER });
});

it("a client that does not take descriptors leaves nothing open anywhere", async () => {
  await client.call("create-context", { context: "plain" });
  for (let round = 0; round < 2; round++) {
    const answer = await client.call("hand-over-device", { device: DEVICE, context: "plain" });
    expect(answer).toEqual({ device: DEVICE, context: "plain", fds: ["iommufd", "device"] });
    // Read by Node.js, which asks for no descriptors: the kernel has dropped them, and the daemon closes its own.
    while (openers("/dev/vfio/devices/vfio0").length > 0) await delay(250);
    expect(await device(DEVICE)).toEqual({ state: "observed", context: null });
  }
  await client.call("destroy-context", { context: "plain" });
  // The default context's, which a test before has opened.
  while (openDevices(daemon.pid).length > 1) await delay(250);
  expect(openDevices(daemon.pid)).toEqual(["/dev/iommu"]);
});

/** What the process has pinned for devices. */
function pinnedKilobytes(pid: number): number {
  return Number(/^VmPin:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}
