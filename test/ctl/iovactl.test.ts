import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Daemon } from "../daemon/daemon.ts";
import { iovactl, MAIN } from "./command-line.ts";

const topology = JSON.parse(
  readFileSync(new URL("../../src/demo/hosts/intel.json", import.meta.url), "utf8"),
);
for (const device of topology.devices) delete device["latency-ms"];

let daemon: Daemon;
let directory: string;
beforeAll(async () => {
  daemon = await Daemon.start({ topology });
  directory = mkdtempSync(join(tmpdir(), "iovactl-"));
});
afterAll(async () => {
  await daemon.stop();
  rmSync(directory, { recursive: true });
});

/** The one request that a command line makes. */
const requestOf = async (...args: string[]) => JSON.parse((await iovactl(["--dry-run", ...args])).stdout);

const ask = (...args: string[]) => iovactl(["-s", daemon.socket, ...args]);

/** The built command as a process of its own. */
function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function finish(child: ChildProcess) {
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (bytes) => (stdout += bytes));
  child.stderr?.on("data", (bytes) => (stderr += bytes));
  const [status] = await once(child, "close");
  return { status, stdout, stderr };
}

/** Resolves when what the child has printed so far, here or on standard error, matches. */
function printed(child: ChildProcess, pattern: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = "";
    const take = (bytes: Buffer) => {
      text += bytes;
      if (pattern.test(text)) resolve();
    };
    child.stdout?.on("data", take);
    child.stderr?.on("data", take);
    child.once("close", () => reject(new Error(`it ended without ${pattern}: ${text}`)));
  });
}

it.each([
  ["a layout that fits", 0, ["check", "-m", "8G", "83:00.0"]],
  ["one that does not", 1, ["check", "-m", "1T", "83:00.0"]],
  ["a place that is there", 0, ["find", "1G", "83:00.0"]],
  ["none", 1, ["find", "1T", "83:00.0"]],
  ["a device that there is not", 1, ["reserved", "99:00.0"]],
  ["a device that is refused", 1, ["hold", "03:00.0"]],
  ["no command", 2, []],
  ["an unknown command", 2, ["devcies"]],
  ["an unknown option", 2, ["devices", "--tre"]],
  ["an unknown column", 2, ["devices", "-o", "grop"]],
  ["an argument too many", 2, ["status", "now"]],
  ["a guest that nobody has described", 2, ["check", "83:00.0"]],
  ["a guest without a device", 2, ["check", "-m", "8G"]],
  ["an address that is none", 2, ["find", "1G", "--not-below", "4 GiB", "83:00.0"]],
  ["a machine that there is not", 2, ["check", "--machine", "q36", "83:00.0"]],
  ["a method that there is not", 2, ["call", "query-device"]],
  ["params that are no JSON", 2, ["call", "query-devices", "{"]],
  ["a report that a full disk does not take", 1, ["report", "/dev/full"]],
  ["a picture that it does not take", 1, ["map", "83:00.0", "--svg", "/dev/full"]],
  ["columns of what has no table", 2, ["status", "-o", "up"]],
  ["columns of a tree", 2, ["devices", "--tree", "-o", "device"]],
  ["columns of a fleet's question without a table", 2, ["fleet", "predict", "-o", "host"]],
  ["an IOAS that is none", 2, ["allowed", "guest1/x"]],
])("the exit status of %s is %d", async (_what, status, args) => {
  const ran = await ask(...args);
  expect(ran.status).toBe(status);
  if (ran.stdout === "") expect(ran.stderr).toMatch(/^iovactl: [^\n]+\n$/);
});

it("says what to do where no daemon is, with status 3", async () => {
  const { status, stderr } = await iovactl(["-s", join(directory, "none"), "status"]);
  expect(status).toBe(3);
  expect(stderr).toMatch(/^iovactl: [^\n]*start iovad[^\n]*\n$/);
});

it("refuses a column that there is not before anything is asked", async () => {
  for (const line of ["devices -o grop", "profile -o start", "fleet hosts --from /nowhere -o hots"]) {
    const { status, stderr } = await iovactl(["-s", join(directory, "none"), ...line.split(" ")]);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining("there is no column") });
  }
});

it("without a legend prints what there is beside headings, and no empty line before it", async () => {
  expect((await ask("status", "--no-legend")).stdout).toMatch(/^daemon +iovad /);
  expect((await ask("profile", "--no-legend")).stdout).toMatch(/^0000:[\s\S]*\n\n +0x0 /);
  expect((await ask("profile", "--no-legend", "-o", "DEVICE,usable")).stdout).toMatch(
    /^0000:00:1f\.0 {2}no\n/,
  );
});

it("speaks of commands where the daemon speaks of methods, but to who calls those", async () => {
  expect((await ask("reserved", "99:00.0")).stderr).toContain("(iovactl devices lists them)");
  expect((await ask("map", "83:00.0")).stdout).toContain("(iovactl probe)");
  expect((await ask("call", "query-reserved-ranges", '{"device":"99:00.0"}')).stderr).toContain(
    "(query-devices lists them)",
  );
});

it("ends what doctor has found with how much of it is bad", async () => {
  expect((await ask("doctor", "03:00.0")).stdout).toMatch(/\n2 failures, \d warnings?\n$/);
});

it("asks for the users of devices where only their column is asked for", async () => {
  expect(await requestOf("devices", "-o", "device,users")).toMatchObject({ params: { users: true } });
  expect(await requestOf("devices", "-o", "device")).toMatchObject({ params: {} });
});

it("takes an address as the size of what lies below it", async () => {
  expect(await requestOf("find", "1G", "--not-below", "4G", "--not-above", "0XFFFFFFFFF", "83:00.0")).toEqual(
    expect.objectContaining({
      params: {
        ...{ size: "0x40000000", devices: ["83:00.0"] },
        ...{ "not-below": "0x100000000", "not-above": "0xfffffffff" },
      },
    }),
  );
});

it.each(["constructor", "__proto__", "toString"])(
  "has no schema of %s, which is a word of JavaScript's",
  async (name) => {
    const { status, stdout, stderr } = await ask("schema", name);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(`there is no method or event "${name}"`);
  },
);

it.each([
  ["devcies", "devices"],
  ["devices --tre", "--tree"],
  ["devices -o grop", "group"],
  ["call query-device", "query-devices"],
  ["schema query-device", "query-devices"],
  ["reserved 84:00", "0000:84:00.0"],
  ["reserved 3:0.0", "0000:03:00.0"],
  ["reserved 0:84:00.7", "0000:84:00.0"],
  ["map 84.00.0", "0000:84:00.0"],
])("names what is near to %s", async (line, meant) => {
  expect((await ask(...line.split(" "))).stderr).toContain(`did you mean ${meant}?`);
});

it.each([
  ["-s", ["-s", ""], "-s takes the path"],
  ["-H", ["-H", ""], "-H takes a host"],
])("refuses an empty %s, as an unset variable makes it", async (_option, given, told) => {
  const { status, stderr } = await iovactl([...given, "status"]);
  expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(told) });
});

it.each([
  ["find 4096 83:00.0", '"4096" could be bytes, or MiB as QEMU has it: write 0x1000 or 4096M'],
  ["find 4k8 83:00.0", '"4k8" is none: write a number and a unit'],
  ["check --layout ram=0x0 83:00.0", "how long?"],
  ["check --machine q35 83:00.0", "give -m SIZE"],
  ["check --machine virt,highmem=of -m 1G 83:00.0", "highmem= takes on or off"],
  ["fleet fits -m 1G --want 2:10de", "write N:VENDOR:DEVICE"],
  ["fleet hosts --dry-run", "fleet sends the daemon nothing"],
  ["watch --since 5 --dry-run", "what watch --since asks goes by what it is answered"],
  ["doctor 83:00.0 --dry-run", "what doctor asks"],
  ["doctor --message -22 --dry-run", "what doctor asks"],
  ["report - --dry-run", "what report asks"],
  ["probe --all --dry-run", "what probe --all asks"],
])("says of %s what to write instead", async (line, told) => {
  const { status, stdout, stderr } = await ask(...line.split(" "));
  expect({ status, stdout, stderr }).toEqual({
    ...{ status: 2, stdout: "", stderr: expect.stringContaining(told) },
  });
});

it("takes 0 and sizes for addresses", async () => {
  expect(
    await requestOf("check", "--layout", "ram=0+4G", "--layout", "high=4G-0x1ffffffff", "83:00.0"),
  ).toMatchObject({
    params: {
      layout: [
        { name: "ram", start: "0x0", last: "0xffffffff" },
        { name: "high", start: "0x100000000", last: "0x1ffffffff" },
      ],
    },
  });
});

it.each(["hold A B", "release A B", "attach A B 1", "detach A B", "probe A B"])(
  "prints with --dry-run every request of %s",
  async (line) => {
    const { status, stdout } = await iovactl(["--dry-run", ...line.split(" ")]);
    const devices = stdout.trim().split("\n");
    expect(status).toBe(0);
    expect(devices.map((request) => JSON.parse(request).params.device)).toEqual(["A", "B"]);
  },
);

it("says that a full disk has not taken everything", async () => {
  const line = `exec ${process.execPath} ${MAIN} -s ${daemon.socket} metrics > /dev/full`;
  const { status, stderr } = await finish(spawn("sh", ["-c", line], { stdio: ["ignore", "pipe", "pipe"] }));
  expect(status).toBe(1);
  expect(stderr).toMatch(/^iovactl: the output cannot be written: [^\n]*ENOSPC[^\n]*\n$/);
});

it("names the ranges of a conflict, and whose they are", async () => {
  const { ioas } = JSON.parse((await ask("-j", "call", "create-ioas")).stdout);
  try {
    await ask("hold", "84:00.0");
    await ask("allow", `${ioas}`, "0xfee00000-0xfee0ffff");
    expect((await ask("allowed", `${ioas}`)).stdout).toMatch(/kept +0xfee00000-0xfee0ffff/);
    const { status, stderr } = await ask("attach", "84:00.0", `${ioas}`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/\(0xfee00000-0xfee0ffff [^)]*0000:84:00\.0\)\n$/);
  } finally {
    await ask("release", "84:00.0");
    await ask("call", "destroy-ioas", JSON.stringify({ ioas }));
  }
});

it("probes where there are no cdevs, and says when there is nothing to probe", async () => {
  const [device] = topology.devices.filter(({ regions = [] }) => regions.length === 1);
  const kernel = { iommufd: false, "vfio-cdev": false };
  const own = await Daemon.start({ topology: { ...topology, kernel: { ...topology.kernel, ...kernel } } });
  const none = await Daemon.start({ topology: { ...topology, devices: [{ ...device, driver: null }] } });
  try {
    const probed = await iovactl(["-s", own.socket, "probe", "--all"]);
    expect(probed.stdout).toContain("by a probe");
    const { status, stderr } = await iovactl(["-s", none.socket, "probe", "--all"]);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining("no device that could be probed"),
    });
  } finally {
    await own.stop();
    await none.stop();
  }
});

it.each([
  ["vfio_container_dma_map(0x5581, 0x1000, 0x2000, 0x7f) = -28 (No space left on device)", "dma_entry_limit"],
  ["vfio_container_dma_map(0x5581, 0x1000, 0x2000, 0x7f) = -14 (Bad address)", "another device's BAR"],
  [
    "vfio_container_dma_map(0x5581, 0x1000, 0x2000, 0x7f) = -22 (Invalid argument)",
    "nothing forbids 0x1000-0x2fff",
  ],
  ["vfio_dma_map(0x5581, 0xfffffffffffff000, 0x2000, 0x7f) = -22 (Invalid argument)", "the IOMMU reserves"],
])("knows what %s means", async (message, means) => {
  const { status, stdout } = await ask("doctor", "--message", message);
  expect(status).toBe(0);
  expect(stdout.replaceAll(/\s+/g, " ")).toContain(means);
});

it("explains one line of a text, the one with the most exact meaning, and says which others are known", async () => {
  const [rmrr, map, busy] = [
    "vfio 0000:03:00.0: Firmware has requested this device have a 1:1 IOMMU mapping",
    "vfio_container_dma_map(0x5581, 0xfe000000, 0x2000000, 0x7f) = -22 (Invalid argument)",
    "vfio 0000:84:00.0: Device or resource busy",
  ];
  const text = `2026-11-22 a line of no interest\n${busy}\n${map}\n${rmrr}\n${busy}\n`;
  const { stdout } = await ask("doctor", "--message", text);
  expect(stdout).toMatch(/^means +firmware claims[\s\S]*\nhere +0000:03:00\.0: direct-mapping/);
  expect(stdout).toContain(`\nalso known ${map}\n           ${busy}\n           each by itself`);
  expect(JSON.parse((await ask("-j", "doctor", "--message", text)).stdout).more).toEqual([map, busy]);
  expect((await ask("doctor", "--message", `${map}\n`)).stdout).not.toContain("also known");
});

it("doctor takes a message on standard input, and says so when it waits no longer for one", async () => {
  const pipedInto = (input: string | undefined) => {
    const child = spawn(process.execPath, [MAIN, "-s", daemon.socket, "doctor"]);
    if (input !== undefined) child.stdin.end(input);
    return finish(child);
  };
  expect(await pipedInto("vfio: group 5 is not viable")).toMatchObject({
    ...{ status: 0, stderr: "", stdout: expect.stringContaining("driver of the host") },
  });
  expect(await pipedInto(undefined)).toMatchObject({
    stderr: "iovactl: nothing has come on standard input, which is not waited for any longer\n",
    stdout: expect.stringMatching(/^kernel\n/),
  });
});

it("does not answer for a device that there is not", async () => {
  expect((await ask("doctor", "8:00.0", "--message", "-22")).status).toBe(1);
});

it("takes a message that begins with a dash, as an errno does", async () => {
  expect((await ask("doctor", "--message", "-22")).stdout).toContain("EINVAL");
  expect((await ask("doctor", "--message=-22")).stdout).toContain("EINVAL");
});

it.each([
  ["-j", ["devices"], "query-devices", {}],
  ["-j", ["reserved", "84:00.0"], "query-reserved-ranges", { device: "0000:84:00.0" }],
  ["--json=pretty", ["contexts"], "query-contexts", {}],
  [
    "-j",
    ["check", "-m", "4096", "84:00.0"],
    "check-layout",
    { machine: { type: "q35", memory: "4096M" }, devices: ["84:00.0"] },
  ],
  ["-j", ["map", "84:00.0"], "predict-allowed-ranges", { devices: ["84:00.0"] }],
  ["-j", ["schema", "query-status"], "query-schema", {}],
])("%s gives the daemon's own answer to %j", async (option, args, method, params) => {
  const client = await daemon.client();
  const answer = (await client.request(method, params)) as { methods?: Record<string, unknown> };
  const { stdout } = await ask(option, ...args);
  // Of the schemas it is the one that was asked for; counters of the cache aside the rest is member for member.
  const expected = answer.methods ? answer.methods["query-status"] : answer;
  const steady = (value: unknown) => JSON.stringify(value).replace(/"(cached|generation)":[^,}]+/g, "");
  expect(steady(JSON.parse(stdout))).toBe(steady(expected));
  expect(stdout.trim().includes("\n")).toBe(option !== "-j");
});

it("takes what QEMU's user types", async () => {
  const request = async (...args: string[]) => (await requestOf("check", ...args)).params;
  expect(
    await request("--machine", "pc-q35-9.0,phys-bits=39", "-m", "size=4G,slots=2,maxmem=8G", "83:00.0"),
  ).toEqual({
    machine: { type: "q35", version: "9.0", "phys-bits": 39, memory: "4G", slots: 2, "max-memory": "8G" },
    devices: ["83:00.0"],
  });
  expect(
    await request("--machine", "virt,version=9.0,highmem=off", "-m", "1.5T", "--ioas", "guest1/2"),
  ).toEqual({
    machine: { type: "virt", version: "9.0", highmem: false, memory: "1.5T" },
    ...{ context: "guest1", ioas: 2 },
  });
  expect(
    await request(
      "--layout",
      "ram=0x0+2G",
      "--layout",
      "bar=0x80000000-0x8fffffff",
      "--enforce",
      "--ioas",
      "7",
    ),
  ).toEqual({
    layout: [
      { name: "ram", start: "0x0", last: "0x7fffffff" },
      { name: "bar", start: "0x80000000", last: "0x8fffffff" },
    ],
    ...{ ioas: 7, enforce: true },
  });
});

it("cuts the one view that counts out of what a running QEMU prints, as text or as QMP's answer", async () => {
  const view =
    'FlatView #1\r\n AS "memory", root: system\r\n Root memory region: system\r\n  0-9ffff (prio 0, ram): pc.ram';
  const other = 'FlatView #0\n AS "I/O", root: io\n  0-7 (prio 0, i/o): dma';
  for (const text of [
    `${other}\n\n${view}\n\n`,
    JSON.stringify({ return: `${other}\r\n\r\n${view}\r\n\r\n` }),
  ]) {
    const file = join(directory, "mtree.txt");
    writeFileSync(file, text);
    const { stdout } = await iovactl(["--dry-run", "check", "--mtree", file, "83:00.0"]);
    expect(JSON.parse(stdout).params.mtree).toBe(view.replaceAll("\r", ""));
  }
});

it("prints with --dry-run both that allowed asks at once", async () => {
  const { stdout } = await iovactl(["--dry-run", "allowed", "guest1/1"]);
  expect(stdout.match(/"method":"[^"]*"/g)).toEqual([
    '"method":"query-allowed-ranges"',
    '"method":"query-ioas"',
  ]);
});

it("prints requests that the daemon answers as it answers the command", async () => {
  const { stdout } = await iovactl(["--dry-run", "reserved", "83:00.0", "84:00.0"]);
  const requests = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(requests).toEqual([
    { jsonrpc: "2.0", id: 1, method: "query-reserved-ranges", params: { device: "83:00.0" } },
    { jsonrpc: "2.0", id: 2, method: "query-reserved-ranges", params: { device: "84:00.0" } },
  ]);
});

it("takes a device, attaches it, keeps ranges usable, and gives it back", async () => {
  const ioas = JSON.parse((await ask("call", "create-ioas")).stdout).ioas;
  expect((await ask("hold", "83:00.0")).stdout).toBe("0000:83:00.0 is held in default\n");
  expect((await ask("attach", "83:00.0", `${ioas}`)).stdout).toContain(
    `attached to default/${ioas}: 0x0-0xfedfffff`,
  );
  expect((await ask("allow", `${ioas}`, "0x0+2G")).stdout).toContain("0x7fffffff");
  expect((await ask("allow", `${ioas}`)).status).toBe(2);
  expect((await ask("allow", `${ioas}`, "--clear")).stdout).toContain("Nothing");
  expect((await ask("detach", "83:00.0")).stdout).toBe(`0000:83:00.0 is detached from default/${ioas}\n`);
  expect((await ask("release", "83:00.0")).stdout).toBe("0000:83:00.0 is free\n");
  expect((await ask("release", "83:00.0")).status).toBe(1);
});

it("attaches to no IO address space of another context than the device's, and names both", async () => {
  await ask("call", "create-context", '{"context":"other"}');
  const { ioas } = JSON.parse((await ask("call", "create-ioas")).stdout);
  try {
    await ask("hold", "83:00.0");
    await ask("hold", "84:00.0", "--context", "other");
    const { status, stdout, stderr } = await ask("attach", "83:00.0", "84:00.0", `default/${ioas}`);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^iovactl: 0000:84:00\.0 [^\n]*"other"[^\n]*"default"[^\n]*\n$/);
    expect((await ask("devices", "83:00.0", "-o", "state", "--no-legend")).stdout).toBe("held\n");
    expect((await ask("attach", "83:00.0", `default/${ioas}`)).status).toBe(0);
  } finally {
    await ask("release", "83:00.0", "84:00.0");
    await ask("call", "destroy-ioas", JSON.stringify({ ioas }));
    await ask("call", "destroy-context", '{"context":"other"}');
  }
});

it("prints with --dry-run that it looks at the context of what it attaches", async () => {
  const { stdout } = await iovactl(["--dry-run", "attach", "A", "B", "guest1/1"]);
  const requests = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(requests.map(({ method, params }) => [method, params.device])).toEqual([
    ["query-devices", "A"],
    ["query-devices", "B"],
    ["attach-device", "A"],
    ["attach-device", "B"],
  ]);
});

it("probes every device that is available, and says nothing of progress in a pipe", async () => {
  const { status, stdout, stderr } = await ask("probe", "--all", "--json=short");
  const probed = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(probed.map(({ device, source }) => [device, source])).toEqual([
    ["0000:83:00.0", "probe"],
    ["0000:84:00.0", "probe"],
  ]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});

it("goes on with the other devices when one cannot be probed", async () => {
  const { status, stdout, stderr } = await ask("probe", "03:00.0", "83:00.0");
  expect(status).toBe(1);
  expect(stderr).toMatch(/^iovactl: [^\n]*03:00.0[^\n]*\n$/);
  expect(stdout).toContain("0000:83:00.0, group 34");
});

it("watch tells of events with their causes, from the one that --since names, and survives a restart", async () => {
  const own = await Daemon.start({ topology });
  const client = await own.client();
  await client.call("hold-device", { device: "0000:83:00.0" });
  const watching = start(["-s", own.socket, "watch", "--since", "0"]);
  const done = finish(watching);
  await printed(watching, /DEVICE_HELD {2}0000:83:00.0 in default\n/);
  await own.stop();
  const next = await Daemon.start({ topology, socket: own.socket });
  const afterwards = printed(watching, /CONTEXT_CREATED {2}afterwards/);
  // The lineage is another, so that it begins anew and says so.
  await printed(watching, /some may be missing/);
  await (await next.client()).call("create-context", { context: "afterwards" });
  await afterwards;
  watching.kill("SIGTERM");
  await done;
  await next.stop();
});

it("ends without a word when its reader goes", async () => {
  const child = start(["-s", daemon.socket, "call", "query-schema"]);
  let stderr = "";
  child.stderr?.on("data", (bytes) => (stderr += bytes));
  child.stdout?.destroy();
  const [status] = await once(child, "close");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});

it("-H asks the iovactl of another host, by ssh", async () => {
  // In place of ssh: takes its options, and runs what it was told to.
  const ssh = join(directory, "ssh");
  writeFileSync(
    ssh,
    `#!/bin/sh\n[ "$1 $2 $3" = "-T -- admin@far" ] || exit 255\nshift 4\neval exec ${process.execPath} ${MAIN} "$@"\n`,
  );
  chmodSync(ssh, 0o755);
  const far = (...args: string[]) =>
    finish(start(["-H", "admin@far", ...args], { PATH: `${directory}:${process.env.PATH}` }));
  const there = await far("-s", daemon.socket, "devices", "--no-legend", "-o", "device,group");
  expect(there).toEqual({
    status: 0,
    stderr: "",
    stdout: expect.stringMatching(/^0000:83:00.0 +34$/m) as string,
  });
  const nowhere = await far("-s", join(directory, "none"), "devices");
  expect(nowhere.status).toBe(3);
  expect(nowhere.stderr).toMatch(/^iovactl: admin@far: [^\n]*start iovad[^\n]*\n$/);
});
