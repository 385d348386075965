import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { beforeAll, expect, it } from "vitest";
import { asNobody, install, members, shell } from "./systemd.ts";

const DEVICE = "0000:00:05.0";
const env = { PATH: "/usr/bin:/bin", COLUMNS: "80" };

/** The package's command, over the package's socket, as an operator who is nobody but a member of its group. */
function iovactl(...args: string[]) {
  return runAs(members(), args);
}

function runAs(groups: string, args: readonly string[]) {
  const command = [...asNobody(groups), "iovactl", ...args];
  const { status, stdout, stderr } = spawnSync("setpriv", command, { encoding: "utf8", cwd: "/", env });
  return { status, stdout, stderr };
}

beforeAll(() => {
  install();
}, 300_000);

it("nobody else is told anything, and what to do about it in one line", () => {
  const { status, stdout, stderr } = runAs("--clear-groups", ["devices"]);
  expect({ status, stdout }).toEqual({ status: 4, stdout: "" });
  expect(stderr).toMatch(/^iovactl: [^\n]*iovad\.sock[^\n]*\n$/);
});

it("devices: who may ask starts the daemon by asking", () => {
  const { status, stdout, stderr } = iovactl("devices");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(new RegExp(`^${DEVICE} +\\d+ .*vfio-pci +observed +yes`, "m"));
});

it("probe: is refused to who may only ask, with status 4", () => {
  const { status, stderr } = iovactl("probe", DEVICE);
  expect(status).toBe(4);
  expect(stderr).toMatch(/^iovactl: [^\n]*control[^\n]*\n$/);
});

it("probe: tells who may the kernel's own word", () => {
  writeFileSync("/etc/iovad/iovad.json", JSON.stringify({ "control-group": ["iovad"] }));
  shell("systemctl reload iovad.service");
  const { status, stdout, stderr } = iovactl("probe", DEVICE);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toContain("the kernel's own word, by a probe");
  expect(stdout).toContain("0x0-0x7fffffffff (512 GiB, 39 bits), by a probe");
});

it("map: draws what the kernel enforces, and has no doubt of it after the probe", () => {
  const { status, stdout } = iovactl("map", DEVICE);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^ +0xfee00000 ├─+┤\n.*░░ msi +1 MiB ░░/m);
  expect(stdout).toMatch(/^ +0x8000000000 ├─+┤\n.*outside the aperture/m);
  expect(stdout).not.toContain("not exact");
});

it("doctor: looks at this host, and finds nothing broken", () => {
  const { status, stdout } = iovactl("doctor", DEVICE);
  for (const group of ["kernel", "iommu", "firmware", "device", "daemon", "memory lock"])
    expect(stdout.split("\n")).toContain(group);
  expect(stdout).not.toContain("failure ");
  expect(stdout).toMatch(/ok +on: dmar0/);
  expect(stdout).toContain("a guest can have it now");
  expect(stdout).toContain("a restart keeps them");
  expect(status).toBe(0);
});

it("watch: goes on across a restart of the daemon, with every event once", async () => {
  const child = spawn("setpriv", [...asNobody(members()), "iovactl", "watch", "--since", "0"], {
    ...{ cwd: "/", env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  const lines = createInterface({ input: child.stdout });
  const seen: string[] = [];
  lines.on("line", (line) => seen.push(line));
  const shown = (pattern: RegExp) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (seen.some((line) => pattern.test(line))) resolve();
      };
      lines.on("line", look);
      look();
    });
  expect(iovactl("call", "create-context", '{"context":"before"}').status).toBe(0);
  await shown(/CONTEXT_CREATED {2}before/);
  shell("systemctl restart iovad.service");
  await shown(/RESTARTED {2}nothing was lost/);
  expect(iovactl("call", "create-context", '{"context":"after"}').status).toBe(0);
  await shown(/CONTEXT_CREATED {2}after/);
  child.kill("SIGTERM");
  await ended;
  const numbers = seen.map((line) => Number(/^\d+/.exec(line)?.[0]));
  expect(numbers).toEqual(numbers.map((_, at) => (numbers[0] as number) + at));
  for (const context of ["before", "after"])
    expect(iovactl("call", "destroy-context", JSON.stringify({ context })).status).toBe(0);
}, 180_000);
