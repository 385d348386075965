import { fstatSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Change } from "../../src/host/changes.ts";
import type { Parcel } from "../../src/host/devices/handovers.ts";
import { Host } from "../../src/host/host.ts";
import { Iommufd } from "../../src/kernel/iommufd.ts";
import { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import { IOMMU_OPTION, IOMMU_OPTION_OP_GET, iommu_option } from "../../src/uapi/iommufd.ts";
import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  vfio_device_attach_iommufd_pt,
  vfio_device_bind_iommufd,
} from "../../src/uapi/vfio.ts";
import { latch } from "../rpc/stub.ts";
import { AUDIO, DISK, GPU, MSI, NIC, refusal, setOf } from "./simulation.ts";
import { failNth, TamperedKernel } from "./tampered-kernel.ts";

const GUEST = 4711;

/** A simulated machine that passes for a real one: descriptors can be passed, and other processes have them. */
class PassingKernel extends TamperedKernel {
  /** What the guest's process has open. */
  readonly guestPaths: string[] = [];

  override async openFiles(prefix: string) {
    const paths = this.guestPaths.filter((path) => path.startsWith(prefix));
    return paths.map((path) => ({ path, pid: GUEST, uid: 107, command: "qemu-system-x86" }));
  }

  override get backend() {
    return "linux" as const;
  }

  override passable(fd: number): number {
    return fd;
  }
}

/** A client: what it was sent, and what it has read of that. */
class Client {
  readonly parcels: Parcel[] = [];
  hasRead = false;
  readonly #machine: SimulatedKernel;

  constructor(machine: SimulatedKernel) {
    this.#machine = machine;
  }

  readonly send = (parcel: Parcel) => {
    this.parcels.push(parcel);
    const client = this;
    return {
      get isUnderWay() {
        return !client.hasRead;
      },
    };
  };

  /** Reads the answer and takes the descriptors of the last parcel; the daemon closes its own. */
  take(): number[] {
    this.hasRead = true;
    const { fds, close } = this.parcels.at(-1) as Parcel;
    const taken = fds.map((fd) => this.#machine.duplicate(fd));
    close();
    return taken;
  }

  /** Reads the answer as a plain client does: the kernel drops the descriptors. */
  leave(): void {
    this.hasRead = true;
    for (const parcel of this.parcels) parcel.close();
  }
}

let machine: SimulatedKernel;
let kernel: PassingKernel;
let host: Host;
let changes: Change[];
let client: Client;

beforeEach(() => {
  const direct = { start: "0x1000", last: "0x1fff", type: "direct" };
  const device = (name: string, group: number, regions: object[] = [MSI]) => ({
    device: name,
    driver: "vfio-pci",
    iommu: "iommu0",
    group,
    regions,
  });
  machine = new SimulatedKernel(
    parseTopology({
      iommus: [{ name: "iommu0" }],
      devices: [device(NIC, 1), device(DISK, 2), device(GPU, 2), device(AUDIO, 3, [direct])],
    }),
  );
  kernel = new PassingKernel(machine);
  changes = [];
  host = new Host(kernel, { observer: (change) => changes.push(change) });
  host.createContext("vm", "persistent");
  client = new Client(machine);
});

const paths = () => machine.openFds().map(({ path }) => path);
const handOver = (device: string, context = "vm") => host.handOverDevice(device, context, client.send);
const report = (device: string) => host.device(device);
const events = () => changes.map(({ event }) => event);

async function bind(iommufd: number, cdev: number): Promise<void> {
  await machine.slowIoctl(cdev, VFIO_DEVICE_BIND_IOMMUFD, vfio_device_bind_iommufd.encode({ iommufd }));
}

describe("a device that is handed over", () => {
  it("comes with the context's iommufd, open and not bound yet, and with nothing left open behind it", async () => {
    await handOver(NIC);
    expect(client.parcels.map(({ fds }) => fds.map((fd) => pathOf(fd)))).toEqual([
      ["/dev/iommu", "/dev/vfio/devices/vfio0"],
    ]);
    const [iommufd, cdev] = client.take() as [number, number];
    await nextTurn();
    expect(paths()).toEqual(["/dev/iommu", "/dev/iommu", "/dev/vfio/devices/vfio0"]);
    await bind(iommufd, cdev);
    // One context, by whichever descriptor.
    const ioas = new Iommufd(machine, iommufd).allocIoas();
    expect((await host.allowed(host.anyIoas("vm", ioas))).cached).toBe(false);
  });

  it("may have its sibling after it into the same context, whoever has opened or bound that by then", async () => {
    await handOver(DISK);
    const [iommufd, cdev] = client.take() as [number, number];
    kernel.guestPaths.push("/dev/vfio/devices/vfio1");
    await handOver(GPU);
    const [, sibling] = client.take() as [number, number];
    await bind(iommufd, cdev);
    await bind(iommufd, sibling);
    await machine.close(sibling);
    await host.hold(GPU, "vm");
    expect(await report(DISK)).toMatchObject({ state: "handed-over", context: "vm" });
  });

  it("has no part in what else keeps its sibling from the same context", async () => {
    await handOver(DISK);
    const [iommufd, cdev] = client.take() as [number, number];
    await bind(iommufd, cdev);
    kernel.guestPaths.push("/dev/vfio/devices/vfio1", "/dev/vfio/devices/vfio2");
    expect(await refusal(() => handOver(GPU))).toMatchObject({
      errorClass: "DeviceBusy",
      message: expect.stringContaining(`process ${GUEST} uses it`),
    });
    kernel.guestPaths.length = 0;
    failNth(kernel, 0, "EINVAL", "BIND");
    expect(await refusal(() => host.hold(GPU, "vm"))).toMatchObject({
      errorClass: "DeviceBlocked",
      data: { blockers: [{ reason: "no-coherent-dma" }] },
    });
  });

  it("is not, when it has been held while others had their turn", async () => {
    host.createContext("other", "persistent");
    const holding = host.hold(NIC, "other");
    await expect(handOver(NIC)).rejects.toMatchObject({ errorClass: "DeviceBusy" });
    await holding;
    expect(await report(NIC)).toMatchObject({ state: "held", context: "other" });
    expect(client.parcels).toEqual([]);
  });

  it("is shown with its context from the event on until nobody has it any more", async () => {
    await handOver(NIC);
    expect(changes).toMatchObject([
      { event: "CONTEXT_CREATED" },
      { event: "CONTEXT_HANDED_OVER", context: "vm" },
      { event: "DEVICE_HANDED_OVER", device: NIC, context: "vm", record: { state: "handed-over" } },
    ]);
    expect(await report(NIC)).toMatchObject({ state: "handed-over", context: "vm" });
    const [iommufd, cdev] = client.take() as [number, number];
    await bind(iommufd, cdev);
    expect(await report(NIC)).toMatchObject({ state: "handed-over", context: "vm" });
    expect(events()).not.toContain("DEVICE_RELEASED");
    await machine.close(cdev);
    expect((await report(NIC)).state).toBe("observed");
    expect(changes.at(-1)).toMatchObject({ event: "DEVICE_RELEASED", device: NIC, context: "vm", uid: null });
    await host.devices();
    expect(events().filter((event) => event === "DEVICE_RELEASED")).toHaveLength(1);
  });

  it("is told to be back also when nobody asks", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    try {
      await handOver(NIC);
      const [, cdev] = client.take() as [number, number];
      kernel.guestPaths.push("/dev/vfio/devices/vfio0");
      vi.advanceTimersByTime(5_000);
      await nextTurn();
      expect(events()).not.toContain("DEVICE_RELEASED");
      kernel.guestPaths.pop();
      await machine.close(cdev);
      vi.advanceTimersByTime(5_000);
      await nextTurn();
      expect(changes.at(-1)).toMatchObject({ event: "DEVICE_RELEASED", device: NIC, cause: "lease" });
      // Nothing is left to look for.
      vi.advanceTimersByTime(5_000);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it("counts as taken while a process has it open without having bound it", async () => {
    await handOver(NIC);
    const [, cdev] = client.take() as [number, number];
    kernel.guestPaths.push("/dev/null", "/dev/vfio/devices/vfio0");
    expect(await report(NIC)).toMatchObject({ state: "handed-over", context: "vm" });
    kernel.guestPaths.pop();
    await machine.close(cdev);
    expect((await report(NIC)).state).toBe("observed");
  });

  it("is back as soon as a client has read the answer and not taken it", async () => {
    await handOver(NIC);
    client.leave();
    expect((await report(NIC)).state).toBe("observed");
    await nextTurn();
    expect(paths()).toEqual(["/dev/iommu"]);
    await handOver(NIC);
    expect(client.parcels).toHaveLength(2);
  });

  it("stays handed over when its context ends and the guest does not", async () => {
    await handOver(NIC);
    const [iommufd, cdev] = client.take() as [number, number];
    await bind(iommufd, cdev);
    await host.destroyContext("vm");
    expect(await report(NIC)).toMatchObject({ state: "handed-over", context: null });
    expect(await refusal(() => host.hold(NIC, "default"))).toMatchObject({ errorClass: "DeviceBusy" });
    await machine.close(cdev);
    await host.hold(NIC, "default");
    expect(host.heldDevice(NIC).context.name).toBe("default");
  });

  it("is told to be back when its context ends after the guest", async () => {
    await handOver(NIC);
    const [, cdev] = client.take() as [number, number];
    await machine.close(cdev);
    await host.destroyContext("vm");
    expect(events().slice(-3)).toEqual(["CONTEXT_DESTROYED", "DEVICE_CHANGED", "DEVICE_RELEASED"]);
  });

  it("is forgotten when it has another driver", async () => {
    await handOver(NIC);
    client.leave();
    await machine.setDriver(NIC, "ixgbe");
    expect((await report(NIC)).state).toBe("observed");
  });

  it("cannot be held, probed or handed over again", async () => {
    await handOver(NIC);
    for (const call of [() => host.hold(NIC, "vm"), () => host.probe(NIC), () => handOver(NIC)]) {
      expect(await refusal(call)).toMatchObject({ errorClass: "DeviceBusy", data: { context: "vm" } });
    }
    client.take();
    kernel.guestPaths.push("/dev/vfio/devices/vfio0");
    expect(await refusal(() => handOver(NIC))).toMatchObject({ data: { processes: [GUEST] } });
    expect(client.parcels).toHaveLength(1);
  });

  it("arrives also when the context ends while it is on its way", async () => {
    await handOver(NIC);
    await host.destroyContext("vm");
    const [iommufd, cdev] = client.take() as [number, number];
    await bind(iommufd, cdev);
    expect(paths()).toEqual(["/dev/iommu", "/dev/vfio/devices/vfio0"]);
  });
});

describe("what cannot be handed over", () => {
  it("is a device that the daemon holds", async () => {
    await host.hold(NIC, "vm");
    expect(await refusal(() => handOver(NIC))).toMatchObject({ errorClass: "DeviceBusy" });
    await host.release(NIC);
    await handOver(NIC);
  });

  it("is a device whose sibling is held in another context; in the same one it may be", async () => {
    await host.hold(DISK, "default");
    expect(await refusal(() => handOver(GPU))).toMatchObject({
      errorClass: "DeviceBusy",
      data: { devices: [DISK] },
    });
    await host.release(DISK);
    await host.hold(DISK, "vm");
    await handOver(GPU);
  });

  it("is a device whose sibling was handed over with another context, for as long as a client has that", async () => {
    host.createContext("other", "persistent");
    await handOver(DISK, "other");
    const [iommufd, cdev] = client.take() as [number, number];
    kernel.guestPaths.push("/dev/vfio/devices/vfio1");
    const isRefused = async () => {
      for (const call of [() => handOver(GPU), () => host.hold(GPU, "vm"), () => host.probe(GPU)]) {
        expect(await refusal(call)).toMatchObject({
          errorClass: "DeviceBusy",
          message: expect.stringContaining("a group has one context"),
          data: { devices: [DISK] },
        });
      }
      expect((await report(GPU)).state).toBe("observed");
    };
    // Not yet bound: the kernel would not mind.
    await isRefused();
    await bind(iommufd, cdev);
    await isRefused();
    await machine.close(cdev);
    kernel.guestPaths.pop();
    await handOver(GPU);
  });

  it("is a device whose sibling's client has it bound in a context of its own", async () => {
    await handOver(DISK);
    const [, cdev] = client.take() as [number, number];
    await bind(machine.open("/dev/iommu"), cdev);
    const { errorClass, message, data } = await refusal(() => host.hold(GPU, "vm"));
    expect([errorClass, data]).toEqual(["DeviceBusy", { errno: "EPERM", devices: [DISK] }]);
    expect(message).toContain(`somebody else has bound ${DISK}`);
    expect((await report(GPU)).assignable).toBe(true);
  });

  it("is a device with a sibling on a host driver", async () => {
    await machine.setDriver(DISK, "nvme");
    expect(await refusal(() => handOver(GPU))).toMatchObject({ errorClass: "DeviceBusy" });
  });

  it("is a device that was held while it was looked whether its guest has ended; the holder's context can end", async () => {
    await handOver(DISK);
    client.leave();
    host.createContext("other", "persistent");
    const looks = [latch(), latch()];
    let look = 0;
    kernel.openFiles = async () => {
      await looks[look++]?.opened;
      return [];
    };
    const holding = host.hold(DISK, "other");
    await nextTurn();
    const handingOver = refusal(() => handOver(DISK));
    looks[0]?.open();
    await holding;
    // The group's next turn is long in coming.
    const reset = latch();
    kernel.queued = (call) => (call === "BIND" ? reset.opened : Promise.resolve());
    const probing = refusal(() => host.probe(GPU));
    looks[1]?.open();
    await nextTurn();
    const ending = host.destroyContext("other");
    reset.open();
    await ending;
    expect((await handingOver).errorClass).toBe("DeviceBusy");
    await probing;
    expect((await report(DISK)).state).toBe("observed");
    expect(paths()).toEqual(["/dev/iommu"]);
  });

  it("is a device that firmware demands a 1:1 mapping for", async () => {
    const error = await refusal(() => handOver(AUDIO));
    expect(error.errorClass).toBe("DeviceBlocked");
    expect(error.data.blockers).toMatchObject([{ reason: "direct-mapping" }]);
  });

  it("is a device that somebody else uses", async () => {
    kernel.guestPaths.push("/dev/vfio/devices/vfio0");
    expect(await refusal(() => handOver(NIC))).toMatchObject({
      errorClass: "DeviceBusy",
      data: { processes: [GUEST] },
    });
    kernel.guestPaths.pop();
    // Bound from another pid namespace: no process is to be seen.
    const iommufd = machine.open("/dev/iommu");
    await bind(iommufd, machine.open("/dev/vfio/devices/vfio0"));
    expect(await refusal(() => handOver(NIC))).toMatchObject({ errorClass: "DeviceBusy" });
  });

  it("is a device without a VFIO driver, or none at all", async () => {
    await machine.setDriver(NIC, null);
    expect(await refusal(() => handOver(NIC))).toMatchObject({ errorClass: "DeviceNotReady" });
    await machine.setDriver(GPU, "amdgpu");
    // Also when a sibling has a driver of its own.
    await machine.setDriver(DISK, "nvme");
    expect(await refusal(() => handOver(GPU))).toMatchObject({
      errorClass: "DeviceNotReady",
      data: { driver: "amdgpu" },
    });
    expect(await refusal(() => handOver("0000:09:00.0"))).toMatchObject({ errorClass: "DeviceNotFound" });
  });

  it("is a device while another request works on it", async () => {
    const held = host.hold(NIC, "vm");
    expect(await refusal(() => handOver(NIC))).toMatchObject({ errorClass: "DeviceBusy" });
    await held;
  });
});

describe("a simulated host", () => {
  it("passes placeholders that Linux knows, and that are closed with the files they stand for", async () => {
    const simulated = new Host(machine);
    simulated.createContext("guest", "persistent");
    await simulated.handOverContext("guest", client.send);
    await simulated.handOverDevice(NIC, "guest", client.send);
    const fds = client.parcels.flatMap((parcel) => [...parcel.fds]);
    const names = fds.map((fd) => basename(readlinkSync(`/proc/self/fd/${fd}`)));
    const [iommu, cdev] = ["!dev!iommu (deleted)", "!dev!vfio!devices!vfio0 (deleted)"];
    expect(names).toEqual([iommu, iommu, cdev]);
    expect(new Set(fds).size).toBe(3);
    expect(simulated.context("guest").shared).toBe(true);
    const before = paths();
    client.leave();
    await nextTurn();
    expect(paths().length).toBe(before.length - 3);
    for (const fd of fds) expect(() => fstatSync(fd)).toThrow("EBADF");
  });
});

describe("a failure on the way", () => {
  it.each([
    ["the cdev does not open", "open /dev/vfio/devices/vfio0", "EMFILE", "KernelError"],
    ["the iommufd cannot be duplicated", "duplicate", "EMFILE", "KernelError"],
    ["the device is leaving", "open /dev/vfio/devices/vfio0", "ENODEV", "DeviceNotFound"],
  ] as const)("leaves nothing open and nothing handed over: %s", async (_what, call, errno, errorClass) => {
    failNth(kernel, 0, errno, call);
    expect(await refusal(() => handOver(NIC))).toMatchObject({ errorClass, data: { errno } });
    expect(paths()).toEqual(["/dev/iommu"]);
    expect((await report(NIC)).state).toBe("observed");
    expect(client.parcels).toEqual([]);
    kernel.before = () => {};
    await handOver(NIC);
  });

  it("is a node that stands for another device by the time it is open", async () => {
    kernel.deviceNumber = () => "511:77";
    for (const call of [() => handOver(NIC), () => host.hold(NIC, "vm")]) {
      expect(await refusal(call)).toMatchObject({ errorClass: "DeviceNotFound" });
    }
    expect(paths()).toEqual(["/dev/iommu"]);
  });

  it("is a client that cannot be sent descriptors", async () => {
    client.parcels.push = () => {
      throw new Error("no descriptors here");
    };
    await expect(handOver(NIC)).rejects.toThrow("no descriptors here");
    expect(paths()).toEqual(["/dev/iommu"]);
    expect((await report(NIC)).state).toBe("observed");
    expect(events()).not.toContain("DEVICE_HANDED_OVER");
  });

  it("is a context that is being destroyed", async () => {
    const ending = host.destroyContext("vm");
    expect(await refusal(() => handOver(NIC))).toMatchObject({ errorClass: "ContextNotFound" });
    await ending;
    expect(paths()).toEqual([]);
  });
});

describe("a context that is handed over", () => {
  it("is shared from then on, and answers for its IOASes are the kernel's of the moment", async () => {
    const { id } = host.createIoas("vm");
    await host.hold(NIC, "vm");
    await host.attach(NIC, id);
    expect(await host.allowed(host.ioas("vm", id))).toMatchObject({ cached: false });
    const kept = await host.allowed(host.ioas("vm", id));
    expect(kept.cached).toBe(true);
    await host.handOverContext("vm", client.send);
    expect(host.context("vm").shared).toBe(true);
    expect(changes.at(-1)).toEqual({ event: "CONTEXT_HANDED_OVER", context: "vm" });
    let { generation } = kept;
    for (let round = 0; round < 3; round++) {
      const answer = await host.allowed(host.ioas("vm", id));
      expect(answer).toMatchObject({ cached: false, ranges: setOf(MSI).invert() });
      expect(answer.generation).toBeGreaterThan(generation);
      generation = answer.generation;
    }
  });

  it("never tells a generation twice for an id, also when that has become another IOAS's", async () => {
    await host.handOverContext("vm", client.send);
    const [iommufd] = client.take() as [number];
    const others = new Iommufd(machine, iommufd);
    const id = others.allocIoas();
    const told: number[] = [];
    for (let round = 0; round < 4; round++)
      told.push((await host.allowed(host.anyIoas("vm", id))).generation);
    others.destroy(id);
    await expect(host.allowed(host.anyIoas("vm", id))).rejects.toMatchObject({ errorClass: "IoasNotFound" });
    expect(others.allocIoas()).toBe(id);
    for (let round = 0; round < 4; round++)
      told.push((await host.allowed(host.anyIoas("vm", id))).generation);
    expect(told).toEqual([...new Set(told)].sort((a, b) => a - b));
  });

  it("is asked off the event loop: another holder may keep the IOAS locked for long", async () => {
    const { id } = host.createIoas("vm");
    await host.handOverContext("vm", client.send);
    const queued: string[] = [];
    kernel.queued = async (call) => void queued.push(call);
    await host.allowed(host.ioas("vm", id));
    expect(queued).toEqual(["IOVA_RANGES"]);
  });

  it("shows what others have made in it, and answers for that as for its own", async () => {
    const own = host.createIoas("vm").id;
    await handOver(NIC);
    const [iommufd, cdev] = client.take() as [number, number];
    const guest = new Iommufd(machine, iommufd);
    await bind(iommufd, cdev);
    const others = [guest.allocIoas(), guest.allocIoas()] as [number, number];
    await machine.slowIoctl(
      cdev,
      VFIO_DEVICE_ATTACH_IOMMUFD_PT,
      vfio_device_attach_iommufd_pt.encode({ pt_id: others[0] }),
    );
    const context = host.context("vm");
    expect((await host.discover(context)).map(({ id }) => id)).toEqual(others);
    const [attached, empty] = await Promise.all(others.map((id) => host.allowed(host.anyIoas("vm", id))));
    expect(attached).toMatchObject({ ranges: setOf(MSI).invert(), cached: false });
    expect([...(empty?.ranges ?? [])]).toEqual([{ start: 0n, last: 2n ** 64n - 1n }]);
    const generations = [attached, empty, await host.allowed(host.anyIoas("vm", others[0]))].map(
      (answer) => answer?.generation,
    );
    expect(new Set(generations).size).toBe(3);

    // Changing them is their maker's business.
    expect(await refusal(() => host.ioas("vm", others[1]))).toMatchObject({ errorClass: "IoasNotFound" });
    expect(await refusal(() => host.destroyIoas("vm", others[1]))).toMatchObject({
      errorClass: "IoasNotFound",
    });
    guest.destroy(others[1]);
    expect((await host.discover(context)).map(({ id }) => id)).toEqual([others[0]]);
    expect(await refusal(() => host.allowed(host.anyIoas("vm", others[1])))).toMatchObject({
      errorClass: "IoasNotFound",
    });
    expect(host.context("vm").ioases.has(own)).toBe(true);
  });

  it("finds an IOAS behind a long row of other objects' ids", async () => {
    await host.handOverContext("vm", client.send);
    const guest = new Iommufd(machine, (client.take() as [number])[0]);
    const ids = Array.from({ length: 120 }, () => guest.allocIoas());
    for (const id of ids.slice(10, 60)) guest.destroy(id);
    const found = (await host.discover(host.context("vm"))).map(({ id }) => id);
    expect(found).toEqual([...ids.slice(0, 10), ...ids.slice(60)]);
  });

  it("gives what others have made in it to who has the context", async () => {
    host.createContext("shared", "persistent", 1000);
    const own = host.createIoas("shared", 1001);
    expect(own).toMatchObject({ owner: 1001, isDiscovered: false });
    await host.handOverContext("shared", client.send);
    const id = new Iommufd(machine, (client.take() as [number])[0]).allocIoas();
    expect(await host.discover(host.context("shared"))).toMatchObject([
      { id, owner: 1000, isDiscovered: true },
    ]);
  });

  it("is searched through the first 4,096 ids, for each costs a call", async () => {
    await host.handOverContext("vm", client.send);
    const guest = new Iommufd(machine, (client.take() as [number])[0]);
    while (guest.allocIoas() < 4100);
    const found = (await host.discover(host.context("vm"))).map(({ id }) => id);
    expect([found[0], found.at(-1), found.length]).toEqual([1, 4096, 4096]);
  });

  it("may lose an IOAS of ours to another holder, and the model learns of it", async () => {
    const { id } = host.createIoas("vm");
    await host.handOverContext("vm", client.send);
    new Iommufd(machine, (client.take() as [number])[0]).destroy(id);
    expect(await refusal(() => host.allowed(host.ioas("vm", id)))).toMatchObject({
      errorClass: "IoasNotFound",
    });
    expect(host.context("vm").ioases.size).toBe(0);
    expect(changes.at(-1)).toEqual({ event: "IOAS_DESTROYED", context: "vm", ioas: id });
  });

  it("is the only kind in which others are looked for", async () => {
    host.createIoas("vm");
    kernel.calls.length = 0;
    expect(await host.discover(host.context("vm"))).toEqual([]);
    expect(kernel.calls).toEqual([]);
    expect(await refusal(() => host.anyIoas("vm", 2))).toMatchObject({ errorClass: "IoasNotFound" });
  });
});

describe("rlimit mode", () => {
  const modeOf = (context: string) => {
    const argument = iommu_option.encode({ op: IOMMU_OPTION_OP_GET });
    machine.ioctl(host.context(context).open().fd, IOMMU_OPTION, argument);
    return iommu_option.decode(argument).val64;
  };

  it("is set on a context that asks for it, and on no other", () => {
    host.createContext("by-process", "persistent", null, true);
    expect([modeOf("by-process"), modeOf("vm")]).toEqual([1n, 0n]);
  });

  it("is refused with what is missing, and no context is left", async () => {
    failNth(kernel, 0, "EPERM", `0x${IOMMU_OPTION.toString(16)}`);
    const create = () => host.createContext("by-process", "persistent", null, true);
    expect(await refusal(create)).toMatchObject({
      errorClass: "NotSupported",
      data: { missing: "CAP_SYS_RESOURCE", errno: "EPERM" },
    });
    expect(await refusal(() => host.context("by-process"))).toMatchObject({ errorClass: "ContextNotFound" });
    expect(paths()).toEqual(["/dev/iommu"]);
  });
});

function pathOf(fd: number): string | undefined {
  return machine.openFds().find((open) => open.fd === fd)?.path;
}
