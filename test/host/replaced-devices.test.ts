import { expect, it } from "vitest";
import type { Send } from "../../src/host/devices/handovers.ts";
import { Host } from "../../src/host/host.ts";
import type { DeviceEvent } from "../../src/kernel/kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import { latch } from "../rpc/stub.ts";
import { GPU, MSI, NIC, range, refusal, Simulation, setOf, type TestRegion } from "./simulation.ts";

const LOW: TestRegion = { start: "0x0", last: "0xfff", type: "reserved" };
const PLUGGED = "0000:00:09.0";

/** A device under the same name every time, alone in the same group, on the same driver. */
function plugged(...regions: TestRegion[]) {
  const [entry] = parseTopology({
    iommus: [{ name: "iommu0" }],
    devices: [{ device: PLUGGED, group: 9, iommu: "iommu0", driver: "vfio-pci", regions }],
  }).devices;
  if (!entry) throw new Error("no device");
  return entry;
}

/** Lets the simulated kernel's events be heard. */
async function heard(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
}

it("another device under an old name is asked about anew", async () => {
  const { host, machine } = new Simulation({ devices: [{ device: NIC }] });
  machine.addDevice(plugged(MSI));
  const before = (await host.reserved(PLUGGED)).reserved;
  expect(before.excluded).toEqual(setOf(MSI));
  await machine.removeDevice(PLUGGED);
  machine.addDevice(plugged(LOW));
  await heard();
  const after = (await host.reserved(PLUGGED)).reserved;
  expect(after).toMatchObject({ cached: false, excluded: setOf(LOW) });
  expect(after.generation).toBeGreaterThan(before.generation);
});

it("and can be probed when it reserves less than the one before", async () => {
  const { host, machine } = new Simulation({ devices: [{ device: NIC }] });
  machine.addDevice(plugged(LOW, MSI));
  await host.reserved(PLUGGED);
  await machine.removeDevice(PLUGGED);
  machine.addDevice(plugged(MSI));
  await heard();
  expect((await host.probe(PLUGGED)).reserved).toMatchObject({ source: "probe", excluded: setOf(MSI) });
  const { id } = host.createIoas("default");
  await host.hold(PLUGGED, "default");
  await host.attach(PLUGGED, id);
  expect(host.mismatches).toBe(0);
});

it("all is asked anew when the kernel says that events were lost", async () => {
  const { kernel, machine } = new Simulation({ devices: [{ device: NIC }] }, {}, { isDeaf: true });
  let tell: (event: DeviceEvent) => void = () => {};
  kernel.watchDevices = (listener) => {
    tell = listener;
  };
  const host = new Host(kernel);
  machine.addDevice(plugged(MSI));
  await host.probe(PLUGGED);
  await machine.removeDevice(PLUGGED);
  machine.addDevice(plugged(LOW));
  tell({ action: "lost", device: "" });
  expect((await host.reserved(PLUGGED)).reserved).toMatchObject({ source: "sysfs", excluded: setOf(LOW) });
});

it.each([
  ["events are lost", ["lost"]],
  ["the device comes back as another one", ["remove", "add"]],
  ["events are lost, and then the device comes back", ["lost", "remove", "add"]],
])("a probe under way while %s teaches nothing", async (_what, actions) => {
  const { kernel, machine } = new Simulation({ devices: [{ device: NIC }] }, {}, { isDeaf: true });
  let tell: (event: DeviceEvent) => void = () => {};
  kernel.watchDevices = (listener) => {
    tell = listener;
  };
  const host = new Host(kernel);
  machine.addDevice(plugged(MSI));
  kernel.made = async (call) => {
    if (call !== "ATTACH") return;
    for (const action of actions) tell({ action, device: action === "lost" ? "" : PLUGGED });
  };
  expect((await refusal(() => host.probe(PLUGGED))).errorClass).toBe("DeviceNotFound");
  expect((await host.reserved(PLUGGED)).reserved.source).toBe("sysfs");
});

it("a probe that the device's driver did not outlast teaches nothing", async () => {
  const { host, kernel, machine } = new Simulation({ devices: [{ device: GPU, regions: [MSI] }] });
  let closes = 0;
  let finish = () => {};
  const iommufdCloses = new Promise<void>((reached) => {
    kernel.queued = async (call) => {
      if (call !== "close" || ++closes < 2) return;
      reached();
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
    };
  });
  const refused = refusal(() => host.probe(GPU));
  await iommufdCloses;
  await machine.setDriver(GPU, null);
  await machine.setDriver(GPU, "vfio-pci");
  await heard();
  kernel.queued = async () => {};
  finish();
  expect((await refused).errorClass).toBe("DeviceNotFound");
  expect((await host.reserved(GPU)).reserved.source).toBe("sysfs");
  expect([...(await host.probe(GPU)).reserved.excluded]).toEqual([range(0xfee00000n, 0xfeefffffn)]);
});

/** The changes from when the device is back that has been pulled out while it was looked who has the devices of its group. */
async function replacedWhile(take: (host: Host) => Promise<unknown>, isSiblingGiven: boolean) {
  const simulation = new Simulation({ devices: [{ device: NIC, group: 9 }] });
  const { host, kernel, machine } = simulation;
  machine.addDevice(plugged());
  await host.look();
  for (const context of ["vm", "other"]) host.createContext(context, "persistent");
  if (isSiblingGiven) await host.handOverDevice(NIC, "vm", gone);
  const [asked, look] = [latch(), latch()];
  kernel.openFiles = async () => {
    asked.open();
    await look.opened;
    return [];
  };
  const taking = take(host);
  await asked.opened;
  await machine.removeDevice(PLUGGED);
  void host.look();
  await heard();
  machine.addDevice(plugged());
  const before = simulation.changes.length;
  look.open();
  await taking;
  return simulation.events().slice(before);
}

/** A client that does not take what it is sent. */
const gone: Send = ({ close }) => {
  close();
  return { isUnderWay: false };
};

it.each<[string, (host: Host) => Promise<unknown>, string, boolean]>([
  ["held", (host) => host.hold(PLUGGED, "other"), "DEVICE_HELD", true],
  ["handed over", (host) => host.handOverDevice(PLUGGED, "other", gone), "DEVICE_HANDED_OVER", false],
])(
  "a device that is replaced while it is to be %s is told of",
  async (_what, take, taken, isSiblingGiven) => {
    const events = await replacedWhile(take, isSiblingGiven);
    expect(events.filter((event) => event.endsWith(PLUGGED))).toEqual([
      `DEVICE_ADDED ${PLUGGED}`,
      `${taken} ${PLUGGED}`,
    ]);
  },
);
