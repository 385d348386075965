import { describe, expect, it } from "vitest";
import { type Kernel, SystemCallError } from "../../src/kernel/kernel.ts";
import type { ErrnoName } from "../../src/uapi/errno.ts";
import { GPU, MSI, NIC, refusal, Simulation } from "./simulation.ts";

const TOPOLOGY = { devices: [{ device: NIC, regions: [MSI] }] };

/** Makes directories unreadable while `when` says so. */
function forbid(kernel: Kernel, errno: ErrnoName, when: (path: string) => boolean): void {
  const read = kernel.readDirectory.bind(kernel);
  kernel.readDirectory = (path) => {
    if (when(path)) throw new SystemCallError(errno, "scandir");
    return read(path);
  };
}

describe("without a descriptor to read sysfs with", () => {
  it("events are noted, the look is made up for, and nothing ends", async () => {
    const simulation = new Simulation({ devices: [...TOPOLOGY.devices, { device: GPU }] });
    const { machine, kernel, changes } = simulation;
    let isFull = true;
    forbid(kernel, "EMFILE", () => isFull);
    await machine.removeDevice(GPU);
    const until = async (event: string) => {
      while (!changes.some((change) => change.event === event)) await new Promise(setImmediate);
    };
    await until("LOOK_FAILED");
    expect(changes).toContainEqual({ event: "LOOK_FAILED", errno: "EMFILE" });
    isFull = false;
    await until("DEVICE_REMOVED");
  });

  it("a device that has been bound is held", async () => {
    const { host, kernel } = new Simulation(TOPOLOGY);
    let isFull = false;
    kernel.before = (call) => {
      if (call !== "eventfd") return;
      isFull = true;
      throw new SystemCallError("EMFILE", "eventfd2");
    };
    forbid(kernel, "EMFILE", () => isFull);
    expect((await host.hold(NIC, "default")).platform.device).toBe(NIC);
    isFull = false;
    expect(host.heldCount).toBe(1);
  });

  it("a context ends, and so does the host", async () => {
    const simulation = new Simulation(TOPOLOGY);
    const { host, kernel } = simulation;
    Object.defineProperty(kernel, "backend", { value: "linux" });
    host.createContext("guest", "persistent");
    await host.handOverDevice(NIC, "guest", () => ({ isUnderWay: false }));
    kernel.openFiles = () => Promise.reject(new SystemCallError("EMFILE", "scandir"));
    await host.destroyContext("guest");
    expect(host.contexts().map(({ name }) => name)).toEqual(["default"]);
    await host.close();
  });
});

it("where /proc cannot be read, nobody's process is evidence", async () => {
  const { host, kernel } = new Simulation(TOPOLOGY);
  kernel.before = (call) => {
    if (call === "BIND") throw new SystemCallError("EPERM", "BIND");
  };
  kernel.openFiles = () => Promise.reject(new SystemCallError("EACCES", "scandir"));
  expect((await refusal(() => host.hold(NIC, "default"))).errorClass).toBe("DeviceBlocked");
});

it("an attach of which the kernel does not say what is left is said to have succeeded", async () => {
  const { host, kernel } = new Simulation(TOPOLOGY);
  const { id } = host.createIoas("default");
  await host.hold(NIC, "default");
  kernel.before = (call) => {
    if (call === "IOVA_RANGES") throw new SystemCallError("ENOMEM", call);
  };
  const { errorClass, message, data } = await refusal(() => host.attach(NIC, id));
  expect(errorClass).toBe("KernelError");
  expect(message).toMatch(/^0000:00:01\.0 is attached to IOAS 1, but/);
  expect(data).toMatchObject({ attached: true, errno: "ENOMEM" });
  expect(host.heldDevice(NIC).ioas?.id).toBe(id);
});
