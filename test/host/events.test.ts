import { describe, expect, it } from "vitest";
import type { Change } from "../../src/host/changes.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { DISK, GPU, MSI, NIC, refusal, Simulation, setOf, type TestDevice } from "./simulation.ts";

const LOW = { start: "0x0", last: "0xfff", type: "reserved" };
const HIGH = { start: "0x100000000", last: "0x1ffffffff", type: "reserved" };

function simulate(...devices: readonly TestDevice[]) {
  return prepare(new Simulation({ devices }));
}

function prepare(simulation: Simulation) {
  const ioases = [
    simulation.host.createIoas("default").id,
    simulation.host.createIoas("default").id,
  ] as const;
  simulation.changes.length = 0;
  return { ...simulation, simulation, first: ioases[0], second: ioases[1] };
}

type RangesChanged = Extract<Change, { event: "ALLOWED_RANGES_CHANGED" }>;

const rangesChanged = (changes: readonly Change[]): RangesChanged[] =>
  changes.filter((change) => change.event === "ALLOWED_RANGES_CHANGED");

describe("every change is told once, in order:", () => {
  it("the life of a device in a context of its own", async () => {
    const simulation = new Simulation({ devices: [{ device: NIC, regions: [MSI] }] });
    const { host } = simulation;
    host.createContext("guest", "persistent");
    host.createIoas("guest");
    await host.hold(NIC, "guest");
    await host.attach(NIC, 1);
    await host.detach(NIC);
    await host.attach(NIC, 1);
    await host.release(NIC);
    host.destroyIoas("guest", 1);
    await host.destroyContext("guest");
    expect(simulation.events()).toEqual([
      "CONTEXT_CREATED guest",
      "IOAS_CREATED guest 1",
      `DEVICE_HELD ${NIC}`,
      `DEVICE_ATTACHED ${NIC} 1`,
      "ALLOWED_RANGES_CHANGED guest 1",
      `DEVICE_DETACHED ${NIC} 1`,
      "ALLOWED_RANGES_CHANGED guest 1",
      `DEVICE_ATTACHED ${NIC} 1`,
      "ALLOWED_RANGES_CHANGED guest 1",
      `DEVICE_DETACHED ${NIC} 1`,
      `DEVICE_RELEASED ${NIC}`,
      "ALLOWED_RANGES_CHANGED guest 1",
      "IOAS_DESTROYED guest 1",
      "CONTEXT_DESTROYED guest",
    ]);
  });

  it("the end of a context with everything in it", async () => {
    const simulation = new Simulation({ devices: [{ device: NIC, regions: [MSI] }] });
    const { host } = simulation;
    host.createContext("guest", "persistent");
    host.createIoas("guest");
    await host.hold(NIC, "guest");
    await host.attach(NIC, 1);
    simulation.changes.length = 0;
    await host.destroyContext("guest");
    expect(simulation.events()).toEqual([
      `DEVICE_DETACHED ${NIC} 1`,
      `DEVICE_RELEASED ${NIC}`,
      "ALLOWED_RANGES_CHANGED guest 1",
      "IOAS_DESTROYED guest 1",
      "CONTEXT_DESTROYED guest",
    ]);
  });

  it("a replace, with every sibling that it moves", async () => {
    const { simulation, host, first, second } = simulate(
      { device: NIC, group: 1, regions: [MSI] },
      { device: DISK, group: 1, regions: [HIGH] },
      { device: GPU, group: 1, regions: [LOW] },
    );
    for (const device of [NIC, DISK, GPU]) await host.hold(device, "default");
    await host.attach(NIC, first);
    await host.attach(DISK, first);
    simulation.changes.length = 0;
    await host.attach(DISK, second);
    expect(simulation.events().slice(0, 2)).toEqual([
      `DEVICE_ATTACHED ${DISK} ${second}`,
      `DEVICE_ATTACHED ${NIC} ${second}`,
    ]);
    expect(simulation.changes).toHaveLength(4);
    const changes = rangesChanged(simulation.changes).sort((a, b) => a.ioas - b.ioas);
    expect(changes).toMatchObject([
      { ioas: first, ranges: RangeSet.ALL, gained: setOf(MSI, HIGH), lost: RangeSet.EMPTY },
      { ioas: second, ranges: setOf(MSI, HIGH).invert(), gained: RangeSet.EMPTY, lost: setOf(MSI, HIGH) },
    ]);
    for (const { cause } of changes) expect(cause).toEqual({ event: "DEVICE_ATTACHED", device: DISK });
  });

  it("a probe, which holds nothing", async () => {
    const { simulation, host } = simulate({ device: NIC, regions: [MSI] });
    await host.probe(NIC);
    expect(simulation.events()).toEqual([`DEVICE_PROBED ${NIC}`]);
  });
});

describe("nothing is told of", () => {
  it("what was refused", async () => {
    const { simulation, host, first } = simulate(
      { device: NIC, regions: [MSI] },
      { device: DISK, driver: "nvme" },
    );
    await host.hold(NIC, "default");
    await host.allowRanges("default", first, setOf(MSI));
    simulation.changes.length = 0;
    await refusal(() => host.attach(NIC, first));
    await refusal(() => host.hold(NIC, "default"));
    await refusal(() => host.hold(DISK, "default"));
    await refusal(() => host.probe(DISK));
    await refusal(() => host.createContext("default", "persistent"));
    await refusal(() => host.destroyIoas("default", 99));
    expect(simulation.events()).toEqual([]);
  });

  it("a detach that detaches nothing, and an attach to where the device is already", async () => {
    const { simulation, host, first } = simulate({ device: NIC, regions: [MSI] });
    await host.hold(NIC, "default");
    await host.detach(NIC);
    await host.attach(NIC, first);
    simulation.changes.length = 0;
    await host.attach(NIC, first);
    expect(simulation.events()).toEqual([]);
  });

  it("ranges that have stayed the same", async () => {
    const { simulation, host, first } = simulate(
      { device: NIC, regions: [MSI] },
      { device: DISK, regions: [MSI] },
    );
    for (const device of [NIC, DISK]) await host.hold(device, "default");
    await host.attach(NIC, first);
    await host.attach(DISK, first);
    await host.detach(NIC);
    expect(rangesChanged(simulation.changes)).toHaveLength(1);
  });
});

describe("ALLOWED_RANGES_CHANGED", () => {
  it("tells what was gained and lost since the last one, with the generation of the answer and the cause", async () => {
    const { simulation, host, first } = simulate(
      { device: NIC, regions: [MSI, LOW] },
      { device: DISK, regions: [MSI, HIGH] },
    );
    for (const device of [NIC, DISK]) await host.hold(device, "default");
    const expectLast = async (expected: {
      gained: RangeSet;
      lost: RangeSet;
      cause: RangesChanged["cause"];
    }) => {
      const last = rangesChanged(simulation.changes).at(-1);
      const { ranges, generation } = await simulation.allowed("default", first);
      expect(last).toMatchObject({ context: "default", ioas: first, generation, ranges, ...expected });
    };
    await host.attach(NIC, first);
    await expectLast({
      gained: RangeSet.EMPTY,
      lost: setOf(MSI, LOW),
      cause: { event: "DEVICE_ATTACHED", device: NIC },
    });
    await host.attach(DISK, first);
    await expectLast({
      gained: RangeSet.EMPTY,
      lost: setOf(HIGH),
      cause: { event: "DEVICE_ATTACHED", device: DISK },
    });
    await host.detach(NIC);
    await expectLast({
      gained: setOf(LOW),
      lost: RangeSet.EMPTY,
      cause: { event: "DEVICE_DETACHED", device: NIC },
    });
    await host.release(DISK);
    await expectLast({
      gained: setOf(MSI, HIGH),
      lost: RangeSet.EMPTY,
      cause: { event: "DEVICE_RELEASED", device: DISK },
    });
  });

  it("is told even when a change under way meanwhile comes to nothing", async () => {
    const { simulation, kernel, host, first } = simulate(
      { device: NIC, regions: [MSI] },
      { device: DISK, regions: [HIGH], "latency-ms": { attach: 3 } },
    );
    await host.allowRanges("default", first, setOf(HIGH));
    for (const device of [NIC, DISK]) await host.hold(device, "default");
    const refused = refusal(() => host.attach(DISK, first));
    await kernel.when("ATTACH");
    await host.attach(NIC, first);
    expect((await refused).errorClass).toBe("RangeConflict");
    expect(rangesChanged(simulation.changes)).toMatchObject([
      { ranges: setOf(MSI).invert(), lost: setOf(MSI), generation: 2 },
    ]);
  });

  it("is told before its own request is answered, whatever else is under way in the IOAS", async () => {
    const { simulation, kernel, host, first } = simulate(
      { device: NIC, regions: [MSI] },
      { device: DISK, regions: [HIGH] },
    );
    for (const device of [NIC, DISK]) await host.hold(device, "default");
    let goOn = () => {};
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const began = kernel.when("ATTACH");
    kernel.queued = (call) => (call === "ATTACH" ? gate : Promise.resolve());
    const slow = host.attach(DISK, first);
    await began;
    kernel.queued = async () => {};
    await host.attach(NIC, first);
    expect(rangesChanged(simulation.changes)).toMatchObject([
      { lost: setOf(MSI), generation: 2, cause: { event: "DEVICE_ATTACHED", device: NIC } },
    ]);
    goOn();
    await slow;
    expect(rangesChanged(simulation.changes).slice(1)).toMatchObject([
      { lost: setOf(HIGH), generation: 3, cause: { event: "DEVICE_ATTACHED", device: DISK } },
    ]);
  });

  it("is told of two attaches at the same time, in the end with both", async () => {
    const { simulation, host, first } = simulate(
      { device: NIC, regions: [MSI], "latency-ms": { attach: 1 } },
      { device: DISK, regions: [HIGH], "latency-ms": { attach: 3 } },
    );
    for (const device of [NIC, DISK]) await host.hold(device, "default");
    await Promise.all([host.attach(NIC, first), host.attach(DISK, first)]);
    const last = rangesChanged(simulation.changes).at(-1);
    expect(last?.ranges).toEqual(setOf(MSI, HIGH).invert());
    expect(last?.generation).toBe((await simulation.allowed("default", first)).generation);
  });
});

describe("the time that a change has taken", () => {
  it("is from the clock that the host was given", async () => {
    let milliseconds = 0;
    const simulation = new Simulation({ devices: [{ device: NIC }] }, { now: () => milliseconds });
    const { host, kernel, changes } = simulation;
    kernel.made = async (call) => {
      milliseconds += call === "ATTACH" ? 70 : 5;
    };
    host.createIoas("default");
    await host.hold(NIC, "default");
    await host.attach(NIC, 1);
    expect(changes).toMatchObject([
      { event: "IOAS_CREATED" },
      { event: "DEVICE_HELD", milliseconds: 5 },
      { event: "DEVICE_ATTACHED", milliseconds: 70 },
    ]);
  });
});

describe("PREDICTION_MISSED", () => {
  /** A host whose sysfs shows other regions than the kernel enforces. */
  function misled(shown: string, regions = [MSI]) {
    return prepare(new Simulation({ devices: [{ device: NIC, regions }] }, {}, { shown }));
  }

  it("is told, and counted, when the kernel allows what the sources exclude; clients get the kernel's answer", async () => {
    const { simulation, host, first } = misled("0x100000000 0x1ffffffff reserved\n");
    await host.hold(NIC, "default");
    const { answer } = await host.attach(NIC, first);
    expect(answer.ranges).toEqual(setOf(MSI).invert());
    expect(simulation.changes.find(({ event }) => event === "PREDICTION_MISSED")).toMatchObject({
      context: "default",
      ioas: first,
      predicted: setOf(HIGH).invert(),
      actual: setOf(MSI).invert(),
    });
    expect(host.mismatches).toBe(1);
  });

  it("is told when the kernel excludes what no aperture explains, and not again once that is learnt", async () => {
    const { simulation, host, first } = misled("");
    await host.hold(NIC, "default");
    await host.attach(NIC, first);
    expect(host.mismatches).toBe(1);
    await host.detach(NIC);
    await host.attach(NIC, first);
    expect(host.mismatches).toBe(1);
    expect(simulation.changes.filter(({ event }) => event === "PREDICTION_MISSED")).toHaveLength(1);
  });

  it("is not told when the kernel has cut the file short, for what it does not show", async () => {
    const line = "0xfee00000 0xfeefffff msi";
    for (const [text, mismatches] of [
      [`${line}\n`, 1],
      [`${line.padEnd(4094)}\n`, 0],
    ] as const) {
      const { host, first } = misled(text, [MSI, HIGH]);
      await host.hold(NIC, "default");
      await host.attach(NIC, first);
      expect(host.mismatches).toBe(mismatches);
    }
  });
});
