import { execFileSync } from "node:child_process";
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { LinuxKernel } from "../../src/kernel/linux/linux-kernel.ts";

// The compiled one: its threads run a compiled file. `npm test` builds it.
const compiled = new URL("../../dist/kernel/linux/linux-kernel.js", import.meta.url).href;
const { LinuxKernel: Compiled } = (await import(compiled)) as { LinuxKernel: new () => LinuxKernel };

/** `asm-generic/ioctls.h`: bytes that can be read, into an int. Answered by pipes, refused by /dev/null. */
const FIONREAD = 0x541b;

const directory = mkdtempSync(join(tmpdir(), "iovad-"));
const fifo = join(directory, "fifo");
execFileSync("mkfifo", [fifo]);
const held = openSync(fifo, "r+");
writeSync(held, "seven b");
afterAll(() => {
  closeSync(held);
  rmSync(directory, { recursive: true });
});

// One for all: a thread takes longer to start than all that it is asked for.
let kernel = new Compiled();
let fd: number;
beforeEach(() => {
  fd = kernel.open("/dev/null");
});
afterEach(() => kernel.close(fd).catch(() => undefined));
afterAll(() => kernel.shutdown());

const failure = (code: string, call: string) =>
  expect.objectContaining({ name: "SystemCallError", code, call });

test("the release is the running kernel's", () => {
  expect(kernel.release).toBe(release());
});

describe("open", () => {
  test("gives a descriptor of what is at the path, closed on exec", () => {
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe("/dev/null");
    const flags = /flags:\s*(\d+)/.exec(kernel.readFile(`/proc/self/fdinfo/${fd}`))?.[1] ?? "";
    expect(Number.parseInt(flags, 8) & 0o2000002).toBe(0o2000002);
  });

  test("a missing path is ENOENT", () => {
    expect(() => kernel.open("/dev/there-is-no-such-device")).toThrow(failure("ENOENT", "open"));
  });

  test("a directory is EISDIR, because descriptors are opened for writing too", () => {
    expect(() => kernel.open("/")).toThrow(failure("EISDIR", "open"));
  });
});

describe("close", () => {
  test("the descriptor is gone when the promise settles", async () => {
    await kernel.close(fd);
    expect(() => fstatSync(fd)).toThrow("EBADF");
  });

  test("a descriptor that is not open is EBADF", async () => {
    await kernel.close(fd);
    await expect(kernel.close(fd)).rejects.toEqual(failure("EBADF", "close"));
  });
});

describe.each(["ioctl", "slowIoctl"] as const)("%s", (method) => {
  const call = async (...parameters: Parameters<LinuxKernel["ioctl"]>) => kernel[method](...parameters);

  test("what a device does not know is ENOTTY, under the command's number", async () => {
    await expect(call(fd, FIONREAD, new Uint8Array(4))).rejects.toEqual(failure("ENOTTY", "ioctl 0x541b"));
  });

  test("a closed descriptor is EBADF", async () => {
    await kernel.close(fd);
    await expect(call(fd, FIONREAD, new Uint8Array(4))).rejects.toEqual(failure("EBADF", "ioctl 0x541b"));
  });

  test.each([
    ["an array of its own, which V8 may hold in its heap", () => new Uint8Array(4)],
    ["a slice of Node's buffer pool", () => Buffer.from([0, 0, 0, 0])],
    ["a view into the middle of a larger buffer", () => new Uint8Array(64).subarray(13, 17)],
  ])("the kernel writes its answer into %s", async (_, bytes) => {
    const argument = bytes();
    const pipe = kernel.open(fifo);
    expect(await call(pipe, FIONREAD, argument)).toBe(0);
    expect([...argument]).toEqual([7, 0, 0, 0]);
    await kernel.close(pipe);
  });

  test("a pointer's word holds the address of its target's bytes", async () => {
    const target = new Uint8Array(8).subarray(3);
    const argument = new Uint8Array(32);
    await expect(call(fd, FIONREAD, argument, { offset: 16, target })).rejects.toThrow("ENOTTY");
    const { default: koffi } = await import("koffi");
    const words = new DataView(argument.buffer);
    expect(words.getBigUint64(16, true)).toBe(koffi.address(target));
    expect([words.getBigUint64(8, true), words.getBigUint64(24, true)]).toEqual([0n, 0n]);
  });
});

describe("slowIoctl", () => {
  test("runs on a thread that the first call starts", async () => {
    await kernel.shutdown();
    kernel = new Compiled();
    const threads = () => readdirSync("/proc/self/task").length;
    const before = threads();
    await expect(kernel.slowIoctl(fd, FIONREAD, new Uint8Array(4))).rejects.toThrow("ENOTTY");
    expect(threads()).toBe(before + 1);
  });

  test("forty calls at a time each get their own answer, and shutdown waits for all of them", async () => {
    const pipe = kernel.open(fifo);
    const settled: unknown[] = [];
    for (let index = 0; index < 40; index++) {
      const argument = new Uint8Array(4);
      kernel.slowIoctl(index % 2 === 1 ? fd : pipe, FIONREAD, argument).then(
        () => (settled[index] = argument[0]),
        (error) => (settled[index] = error.code),
      );
    }
    await kernel.shutdown();
    kernel = new Compiled();
    expect(settled).toEqual(Array.from({ length: 40 }, (_, index) => (index % 2 === 1 ? "ENOTTY" : 7)));
    closeSync(pipe);
  });
});

describe("shutdown", () => {
  test("a process ends by itself after slow calls, also without it", () => {
    const program = `
      const { LinuxKernel } = await import(${JSON.stringify(compiled)});
      const kernel = new LinuxKernel();
      await kernel.close(kernel.open("/dev/null"));
      process.stdout.write("closed");
    `;
    const options = { timeout: 20_000, encoding: "utf8" } as const;
    expect(execFileSync(process.execPath, ["--input-type=module", "--eval", program], options)).toBe(
      "closed",
    );
  });
});

describe("files", () => {
  test("a file's text, a directory's names, a link's target as it stands in the link", () => {
    const entry = (name: string) => join(directory, "sys", name);
    execFileSync("mkdir", [join(directory, "sys")]);
    writeFileSync(entry("type"), "DMA\n");
    symlinkSync("../../nowhere", entry("link"));
    expect(kernel.readFile(entry("type"))).toBe("DMA\n");
    expect(kernel.readDirectory(join(directory, "sys")).sort()).toEqual(["link", "type"]);
    expect(kernel.readLink(entry("link"))).toBe("../../nowhere");
    expect([kernel.exists(entry("type")), kernel.exists(entry("missing"))]).toEqual([true, false]);
  });

  test("failures are system call errors by name", () => {
    expect(() => kernel.readFile("/sys/there-is-no-such-file")).toThrow(failure("ENOENT", "open"));
    expect(() => kernel.readFile("/sys")).toThrow(failure("EISDIR", "read"));
    expect(() => kernel.readDirectory("/dev/null")).toThrow(failure("ENOTDIR", "scandir"));
    expect(() => kernel.readLink("/sys")).toThrow(failure("EINVAL", "readlink"));
  });
});

test.each(["ppc64", "s390x"])("on %s, where the numbers or the bytes differ, there is none", (arch) => {
  const original = process.arch;
  Object.defineProperty(process, "arch", { value: arch });
  try {
    expect(() => new Compiled()).toThrow(`does not run on ${arch}`);
  } finally {
    Object.defineProperty(process, "arch", { value: original });
  }
});
