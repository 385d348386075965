import { execFileSync } from "node:child_process";
import { fstatSync, readdirSync, readFileSync, readlinkSync, writeSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LinuxKernel } from "../../src/kernel/linux/linux-kernel.ts";
import { parseUevent } from "../../src/kernel/linux/uevents.ts";

const compiled = new URL("../../dist/kernel/linux/linux-kernel.js", import.meta.url).href;
const { LinuxKernel: Compiled } = (await import(compiled)) as { LinuxKernel: new () => LinuxKernel };

let kernel: LinuxKernel;
beforeEach(() => {
  kernel = new Compiled();
});
afterEach(() => kernel.shutdown());

const ONE = Buffer.from(new BigUint64Array([1n]).buffer);

/** How many sockets of the kernel's own are open: netlink's among them, and none of the test's. */
const sockets = () =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:") ? fd : [];
    } catch {
      return [];
    }
  }).length;

describe("an eventfd", () => {
  it("is closed on exec, and its owner hears of every signal", async () => {
    let heard = () => {};
    const fd = kernel.eventfd(() => heard());
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe("anon_inode:[eventfd]");
    expect(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")).toMatch(/^flags:\s*02004002$/m);
    for (let round = 0; round < 3; round++) {
      const signal = new Promise<void>((resolve) => {
        heard = resolve;
      });
      writeSync(fd, ONE);
      await signal;
    }
    await kernel.close(fd);
  });

  it("is gone with close, and says nothing any more", async () => {
    let signals = 0;
    const fd = kernel.eventfd(() => signals++);
    writeSync(fd, ONE);
    await kernel.close(fd);
    expect(() => fstatSync(fd)).toThrow("EBADF");
    expect(signals).toBe(0);
  });

  it("whose number is used again is another one", async () => {
    const heard: string[] = [];
    const first = kernel.eventfd(() => heard.push("first"));
    await kernel.close(first);
    const signal = new Promise<void>((resolve) => {
      const second = kernel.eventfd(() => {
        heard.push("second");
        void kernel.close(second).then(resolve);
      });
      expect(second).toBe(first);
      writeSync(second, ONE);
    });
    await signal;
    expect(heard).toEqual(["second"]);
  });
});

describe("the watch on devices", () => {
  it("ends with shutdown", async () => {
    const before = sockets();
    kernel.watchDevices(() => {});
    expect(sockets()).toBe(before + 1);
    await kernel.shutdown();
    expect(sockets()).toBe(before);
  });

  it("and eventfds do not keep a process alive", () => {
    const program = `
      const { LinuxKernel } = await import(${JSON.stringify(compiled)});
      const kernel = new LinuxKernel();
      kernel.eventfd(() => {});
      kernel.watchDevices(() => {});
      process.stdout.write("watching");
    `;
    const options = { timeout: 20_000, encoding: "utf8" } as const;
    expect(execFileSync(process.execPath, ["--input-type=module", "--eval", program], options)).toBe(
      "watching",
    );
  });
});

describe("a message of the kernel's", () => {
  const message = (...lines: string[]) => lines.map((line) => `${line}\0`).join("");

  it("tells what has happened to a device, or to its VFIO device", () => {
    const path = "/devices/pci0000:00/0000:00:05.0";
    expect(
      parseUevent(message(`unbind@${path}`, "ACTION=unbind", `DEVPATH=${path}`, "SUBSYSTEM=pci")),
    ).toEqual([{ action: "unbind", device: "0000:00:05.0" }]);
    const cdev = `${path}/vfio-dev/vfio0`;
    expect(parseUevent(message(`remove@${cdev}`, "ACTION=remove", "SUBSYSTEM=vfio-dev", "SEQNUM=9"))).toEqual(
      [{ action: "remove", device: "vfio0" }],
    );
  });

  it("of anything else is passed over", () => {
    expect(parseUevent(message("add@/devices/virtual/bdi/0:44", "SUBSYSTEM=bdi"))).toEqual([]);
    expect(parseUevent(message("libudev", "SUBSYSTEM=pci"))).toEqual([]);
    expect(parseUevent(message("add@/devices/pci0000:00/0000:00:05.0"))).toEqual([]);
    expect(parseUevent("")).toEqual([]);
  });
});
