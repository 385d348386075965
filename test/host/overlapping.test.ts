import { expect, it } from "vitest";
import type { Change } from "../../src/host/changes.ts";
import { DISK, MSI, NIC, refusal, Simulation, setOf, type TestRegion } from "./simulation.ts";

const HIGH: TestRegion = { start: "0x100000000", last: "0x1ffffffff", type: "reserved" };

/** A call of the kernel's that waits until it is let go. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

const turns = async () => {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
};

async function begin() {
  const simulation = new Simulation({
    devices: [
      { device: NIC, regions: [MSI] },
      { device: DISK, regions: [HIGH] },
    ],
  });
  const { host } = simulation;
  const { id } = host.createIoas("default");
  for (const device of [NIC, DISK]) await host.hold(device, "default");
  simulation.changes.length = 0;
  return { simulation, ...simulation, id };
}

it("an attach that finds the device busy is refused at once, and looks at nothing", async () => {
  const { simulation, host, kernel, id } = await begin();
  const told = gate();
  kernel.made = async (call) => (call === "ATTACH" ? told.opened : undefined);
  const attach = host.attach(NIC, id);
  await kernel.when("ATTACH");
  await turns();
  kernel.calls.length = 0;
  expect((await refusal(() => host.attach(NIC, id))).errorClass).toBe("DeviceBusy");
  expect(kernel.calls).toEqual([]);
  expect(simulation.events()).toEqual([]);
  told.open();
  await attach;
  expect(simulation.changes.at(-1)).toMatchObject({
    event: "ALLOWED_RANGES_CHANGED",
    generation: 2,
    cause: { event: "DEVICE_ATTACHED", device: NIC },
  });
});

it("answers that differ have generations that differ, also within a change", async () => {
  const { simulation, host, kernel, id } = await begin();
  const [diskBegins, diskIsTold, nicIsRead] = [gate(), gate(), gate()];
  const waits = [diskBegins.opened];
  kernel.queued = async (call) => {
    if (call === "ATTACH") await waits.shift();
  };
  const disk = host.attach(DISK, id);
  await turns();
  kernel.queued = async (call) => {
    if (call === "IOVA_RANGES") await nicIsRead.opened;
  };
  const nic = host.attach(NIC, id);
  await turns();
  kernel.made = async (call) => (call === "ATTACH" ? diskIsTold.opened : undefined);
  const asked = simulation.allowed("default", id);
  diskBegins.open();
  await turns();
  nicIsRead.open();
  await nic;
  const first = await asked;
  const second = await simulation.allowed("default", id);
  diskIsTold.open();
  await disk;
  const last = await simulation.allowed("default", id);

  const seen = [first, second, last, ...simulation.changes.filter(isRangesChanged)];
  for (const a of seen) {
    for (const b of seen) if (a.generation === b.generation) expect(a.ranges).toEqual(b.ranges);
  }
  expect(last.ranges).toEqual(setOf(MSI, HIGH).invert());
  expect(simulation.changes.filter(isRangesChanged).at(-1)?.ranges).toEqual(last.ranges);
});

it("of two answers while one attach is under way, the one that shows it has a generation of its own", async () => {
  const { simulation, host, kernel, id } = await begin();
  const [begins, isTold] = [gate(), gate()];
  kernel.queued = async (call) => (call === "ATTACH" ? begins.opened : undefined);
  kernel.made = async (call) => (call === "ATTACH" ? isTold.opened : undefined);
  const attach = host.attach(NIC, id);
  await turns();
  const before = await simulation.allowed("default", id);
  begins.open();
  await turns();
  const after = await simulation.allowed("default", id);
  expect([before.ranges, after.ranges]).toEqual([setOf().invert(), setOf(MSI).invert()]);
  expect(after.generation).toBeGreaterThan(before.generation);
  isTold.open();
  await attach;
});

const isRangesChanged = (change: Change) => change.event === "ALLOWED_RANGES_CHANGED";

it("however many ask while an attach is under way, one question at a time is put to the kernel", async () => {
  const { simulation, host, kernel, id } = await begin();
  const go = gate();
  let busy = 0;
  let most = 0;
  kernel.queued = async (call) => {
    if (call !== "IOVA_RANGES" && call !== "ATTACH") return;
    most = Math.max(most, ++busy);
    await go.opened;
    busy--;
  };
  const attach = host.attach(NIC, id);
  await turns();
  kernel.calls.length = 0;
  const answers = Array.from({ length: 40 }, () => simulation.allowed("default", id));
  await turns();
  expect(most).toBe(2);
  go.open();
  await attach;
  for (const { ranges } of await Promise.all(answers)) expect([...ranges].length).toBeGreaterThan(0);
  expect(kernel.calls.filter((call) => call === "IOVA_RANGES").length).toBeLessThanOrEqual(3);
});
