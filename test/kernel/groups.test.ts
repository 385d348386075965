import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, connect } from "../../src/client/index.ts";
import type { LinuxKernel } from "../../src/kernel/linux/linux-kernel.ts";
import { VfioDevice } from "../../src/kernel/vfio.ts";
import { onlyWhere } from "../conformance/only-where.ts";
import { currentPlatform } from "../conformance/platforms.ts";
import { Daemon } from "../daemon/daemon.ts";
import { endUnsurprised, openDevices, probeDrivers, secondOpinion, unbind, wireRanges } from "./guest.ts";

/** In a variable, or tsc would ask for the build: the kernel's threads run compiled files. */
const COMPILED = "../../dist/kernel/linux/linux-kernel.js";

/** One multifunction device: the first function on a host driver, the second on vfio-pci. */
const RNG = "0000:00:08.0";
const FUNCTION = "0000:00:08.1";
/** Two devices behind a PCI bridge, which itself has no driver: one group. */
const FIRST = "0000:02:01.0";
const SECOND = "0000:02:02.0";
const ISA_BRIDGE = "0000:00:1f.0";

const ATTACHED = wireRanges(currentPlatform().allowed);

interface Device {
  device: string;
  group: number;
  state: string;
  ioas: number | null;
  assignable: boolean;
  blockers: { reason: string; devices?: string[] }[];
}

let daemon: Daemon;
let client: Client;

beforeAll(async () => {
  daemon = await Daemon.start();
  client = await daemon.client();
});
afterAll(async () => {
  await endUnsurprised(daemon);
});

async function query(device: string): Promise<Device> {
  const { devices } = await client.call("query-devices", { device });
  return devices[0] as Device;
}

async function newIoas(): Promise<number> {
  return (await client.call("create-ioas")).ioas;
}

describe("a function whose sibling is on a host driver", () => {
  it("is refused as busy, and the sibling named, before and after the attempt", async () => {
    const { assignable, blockers } = await query(FUNCTION);
    expect(assignable).toBe(false);
    expect(blockers).toMatchObject([{ reason: "group-sibling", devices: [RNG] }]);
    await expect(client.call("hold-device", { device: FUNCTION })).rejects.toMatchObject({
      data: { class: "DeviceBusy", blockers: [{ reason: "group-sibling", devices: [RNG] }] },
    });
    expect(openDevices(daemon.pid).filter((path) => path !== "/dev/iommu")).toEqual([]);
  });

  it("is free once the sibling is unbound, and keeps the host driver off while it is held", async () => {
    unbind(RNG);
    expect(await query(FUNCTION)).toMatchObject({ assignable: true, blockers: [] });
    await client.call("hold-device", { device: FUNCTION });
    expect(() => probeDrivers(RNG)).toThrow("EINVAL");
    await client.call("release-device", { device: FUNCTION });
    probeDrivers(RNG);
    expect((await query(FUNCTION)).assignable).toBe(false);
  });
});

describe("two devices of one group", () => {
  it("are held in one context, attached to one IOAS, and moved together", async () => {
    expect((await query(FIRST)).group).toBe((await query(SECOND)).group);
    const ioas = await newIoas();
    const other = await newIoas();
    await client.call("hold-device", { device: FIRST });
    await client.call("create-context", { context: "elsewhere" });
    await expect(client.call("hold-device", { device: SECOND, context: "elsewhere" })).rejects.toMatchObject({
      data: { class: "DeviceBusy", devices: [FIRST] },
    });
    await client.call("destroy-context", { context: "elsewhere" });
    await client.call("hold-device", { device: SECOND });

    await client.call("attach-device", { device: FIRST, ioas });
    await expect(client.call("attach-device", { device: SECOND, ioas: other })).rejects.toMatchObject({
      data: { class: "DeviceBusy", devices: [FIRST] },
    });
    await client.call("attach-device", { device: SECOND, ioas });
    expect(secondOpinion(daemon, ioas).ranges).toEqual(ATTACHED);

    const moved = await client.call("attach-device", {
      device: SECOND,
      ioas: other,
    });
    expect(moved.ranges).toEqual(secondOpinion(daemon, other).ranges);
    for (const device of [FIRST, SECOND]) {
      expect(await query(device)).toMatchObject({ state: "attached", ioas: other });
    }
    expect(secondOpinion(daemon, ioas).alignment).toBe("0x1");

    for (const device of [FIRST, SECOND]) await client.call("release-device", { device });
    for (const each of [ioas, other]) await client.call("destroy-ioas", { ioas: each });
  });

  it("are handed over into one context, the second when the first is bound, and into no other", async () => {
    const { LinuxKernel } = (await import(COMPILED)) as { LinuxKernel: new () => LinuxKernel };
    const kernel = new LinuxKernel();
    const guest = await connect({ socket: daemon.socket, descriptors: true });
    await guest.call("create-context", { context: "guest" });
    await guest.call("create-context", { context: "elsewhere" });
    const taken: number[] = [];
    for (const device of [FIRST, SECOND]) {
      const { fds } = await guest.callForDescriptors("hand-over-device", { device, context: "guest" });
      const [iommufd, cdev] = fds as [number, number];
      taken.push(...fds);
      expect(await new VfioDevice(kernel, cdev).bind(iommufd)).toBeGreaterThan(0);
      if (device === SECOND) break;
      await expect(
        guest.callForDescriptors("hand-over-device", { device: SECOND, context: "elsewhere" }),
      ).rejects.toMatchObject({ data: { class: "DeviceBusy", devices: [FIRST] } });
    }
    for (const device of [FIRST, SECOND]) expect((await query(device)).state).toBe("handed-over");
    for (const fd of taken) await kernel.close(fd);
    for (const device of [FIRST, SECOND]) expect((await query(device)).state).toBe("observed");
    for (const context of ["guest", "elsewhere"]) await guest.call("destroy-context", { context });
    await guest.close();
    await kernel.shutdown();
  });
});

// Some Linux reports it only with a driver for floppy disks.
describe(
  "the ISA bridge",
  onlyWhere(currentPlatform().bridgeRegions.length > 0, "a kernel that reports its region"),
  () => {
    it("has a direct-relaxable region, reported and not enforced: it stays usable, and the device assignable", async () => {
      const relaxable = { start: "0x0", last: "0xffffff", type: "direct-relaxable", enforced: false };
      const msi = { start: "0xfee00000", last: "0xfeefffff", type: "msi", enforced: true };
      const answer = await client.call("query-reserved-ranges", {
        device: ISA_BRIDGE,
      });
      expect(answer.regions).toEqual([relaxable, msi]);
      expect(answer.reserved).toEqual(wireRanges(currentPlatform().excluded));
      expect(await query(ISA_BRIDGE)).toMatchObject({ assignable: true, blockers: [] });

      const ioas = await newIoas();
      await client.call("hold-device", { device: ISA_BRIDGE });
      const attached = await client.call("attach-device", {
        device: ISA_BRIDGE,
        ioas,
      });
      expect(attached.ranges).toEqual(ATTACHED);
      expect(secondOpinion(daemon, ioas).ranges).toEqual(ATTACHED);
      await client.call("release-device", { device: ISA_BRIDGE });
      await client.call("destroy-ioas", { ioas });
    });
  },
);

it("none of them is held in the end", async () => {
  expect(await client.call("query-status")).toMatchObject({ "held-devices": 0 });
});
