import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { logChanges } from "../src/log.ts";
import { DISK, MSI, NIC, Simulation, setOf } from "./host/simulation.ts";

/** The lines that a simulated host's changes make, without what pino adds to each. */
async function logged(what: (simulation: Simulation) => Promise<unknown>): Promise<object[]> {
  const lines: object[] = [];
  const log = pino(
    { level: "debug", base: null, timestamp: false },
    { write: (line) => lines.push(JSON.parse(line)) },
  );
  const simulation = new Simulation(
    {
      devices: [
        { device: NIC, regions: [MSI] },
        { device: DISK, driver: null },
      ],
    },
    { observer: logChanges(log), now: () => 0 },
  );
  await what(simulation);
  return lines;
}

describe("the log of changes", () => {
  it("has a line for each, with ranges as text and without what its members say already", async () => {
    const lines = await logged(async ({ host }) => {
      host.createIoas("default");
      await host.hold(NIC, "default");
      await host.attach(NIC, 1);
      await host.allowRanges("default", 1, setOf({ ...MSI, start: "0x0", last: "0xfff" }));
      await host.close();
    });
    expect(lines).toMatchObject([
      { msg: "IOAS_CREATED", context: "default", ioas: 1 },
      { msg: "DEVICE_HELD", device: NIC, context: "default", ms: 0 },
      { msg: "DEVICE_ATTACHED", device: NIC, ioas: 1 },
      { msg: "ALLOWED_RANGES_CHANGED", level: 20, lost: "[0xfee00000, 0xfeefffff]" },
      { msg: "ALLOW_LIST_CHANGED", allowList: "[0x0, 0xfff]" },
      { msg: "DEVICE_DETACHED", device: NIC, cause: "shutdown", uid: null },
      { msg: "DEVICE_RELEASED", device: NIC, cause: "shutdown", uid: null },
      { msg: "ALLOWED_RANGES_CHANGED" },
      { msg: "IOAS_DESTROYED" },
      { msg: "CONTEXT_DESTROYED", context: "default" },
    ]);
    expect(lines.filter((line) => "record" in line)).toEqual([]);
  });

  it("says of a device that has changed what drives and what blocks it now", async () => {
    const lines = await logged(async ({ host, machine }) => {
      await machine.setDriver(NIC, "ixgbe");
      await host.look();
    });
    expect(lines).toMatchObject([
      { msg: "DEVICE_CHANGED", device: NIC, driver: "ixgbe", blockers: ["no-vfio-driver"] },
    ]);
  });
});
