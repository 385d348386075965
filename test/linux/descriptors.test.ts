import { execFileSync } from "node:child_process";
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import type { LinuxKernel } from "../../src/kernel/linux/linux-kernel.ts";

// The compiled one: its threads run a compiled file. `npm test` builds it.
const compiled = new URL("../../dist/kernel/linux/linux-kernel.js", import.meta.url).href;
const { LinuxKernel: Compiled } = (await import(compiled)) as { LinuxKernel: new () => LinuxKernel };

const kernel = new Compiled();
afterAll(() => kernel.shutdown());

it.each([
  ["/dev/null", "1:3"],
  ["/dev/zero", "1:5"],
])("the number of %s is the one in the kernel's list of devices", (path, number) => {
  const fd = openSync(path, "r");
  expect(kernel.deviceNumber(fd)).toBe(number);
  closeSync(fd);
});

/** As root, a node of any number can be made; it is opened as a place in the file system, for nobody drives it. */
it.skipIf(process.geteuid?.() !== 0)("numbers of more than a byte come out whole", () => {
  const O_PATH = 0o10000000;
  const directory = mkdtempSync(join(tmpdir(), "iovad-"));
  for (const [major, minor] of [
    [511, 300],
    [4095, 1048575],
    [255, 256],
  ]) {
    const path = join(directory, `${major}-${minor}`);
    execFileSync("mknod", [path, "c", String(major), String(minor)]);
    const fd = openSync(path, O_PATH);
    expect(kernel.deviceNumber(fd)).toBe(`${major}:${minor}`);
    closeSync(fd);
  }
  rmSync(directory, { recursive: true });
});

it("what is open and no device has the number 0:0", () => {
  const fd = openSync("/proc/self/status", "r");
  expect(kernel.deviceNumber(fd)).toBe("0:0");
  closeSync(fd);
});

it("a duplicate is close-on-exec and lives on without the first", () => {
  const fd = openSync("/dev/zero", "r");
  const copy = kernel.duplicate(fd);
  closeSync(fd);
  expect(readlinkSync(`/proc/self/fd/${copy}`)).toBe("/dev/zero");
  const flags = /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${copy}`, "utf8"))?.[1] ?? "";
  expect(Number.parseInt(flags, 8) & 0o2000000).toBe(0o2000000);
  closeSync(copy);
  expect(() => fstatSync(copy)).toThrow("EBADF");
});
