import assert from "node:assert/strict";
import { describe, expect, it } from "vitest";
import type { HostError } from "../../src/host/errors.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import {
  assertModelEqualsKernel,
  DISK,
  MSI,
  NIC,
  refusal,
  Simulation,
  setOf,
  type TestDevice,
} from "./simulation.ts";

const HIGH = { start: "0x100000000", last: "0x1ffffffff", type: "reserved" };
const SLOW = { bind: 2, attach: 2, detach: 2, close: 2 };

const excludedBy = (device: string) => setOf(device === NIC ? MSI : HIGH);

/** A slow NIC and a slow disk, each in a group of its own unless `group` says otherwise, and one IOAS. */
function slowHost(group: Partial<TestDevice> = {}) {
  const simulation = new Simulation({
    devices: [
      { device: NIC, regions: [MSI], "latency-ms": SLOW, ...group },
      { device: DISK, regions: [HIGH], "latency-ms": SLOW, ...group },
    ],
  });
  return { ...simulation, simulation, ioas: simulation.host.createIoas("default").id };
}

/** The error of whichever call was refused, when exactly one of two was. */
async function loser(...calls: Promise<unknown>[]): Promise<HostError> {
  const outcomes = await Promise.allSettled(calls);
  const refused = outcomes.filter((outcome) => outcome.status === "rejected");
  expect(refused).toHaveLength(1);
  return refused[0]?.reason;
}

describe("of two clients that race for one device, one wins and the other gets DeviceBusy:", () => {
  it.each(["hold", "probe"])("hold and %s", async (second) => {
    const { simulation, host } = slowHost();
    const error = await loser(
      host.hold(NIC, "default"),
      second === "hold" ? host.hold(NIC, "default") : host.probe(NIC),
    );
    expect(error.errorClass).toBe("DeviceBusy");
    expect(host.heldCount).toBe(1);
    await assertModelEqualsKernel(simulation);
  });

  it("probe and hold", async () => {
    const { simulation, host } = slowHost();
    const error = await loser(host.probe(NIC), host.hold(NIC, "default"));
    expect(error.errorClass).toBe("DeviceBusy");
    expect(host.heldCount).toBe(0);
    await assertModelEqualsKernel(simulation);
  });

  it("attach and detach, of a device that is attached", async () => {
    const { simulation, host, ioas } = slowHost();
    const other = host.createIoas("default").id;
    await host.hold(NIC, "default");
    await host.attach(NIC, ioas);
    const error = await loser(host.attach(NIC, other), host.detach(NIC));
    expect(error.errorClass).toBe("DeviceBusy");
    expect(host.ioas("default", other).devices).toEqual(new Set([NIC]));
    await assertModelEqualsKernel(simulation, excludedBy);
  });

  it("release and attach", async () => {
    const { simulation, host, ioas } = slowHost();
    await host.hold(NIC, "default");
    const error = await loser(host.release(NIC), host.attach(NIC, ioas));
    expect(error.errorClass).toBe("DeviceBusy");
    expect(host.heldCount).toBe(0);
    await assertModelEqualsKernel(simulation, excludedBy);
  });

  it("attach and release", async () => {
    const { simulation, host, ioas } = slowHost();
    await host.hold(NIC, "default");
    const error = await loser(host.attach(NIC, ioas), host.release(NIC));
    expect(error.errorClass).toBe("DeviceBusy");
    await assertModelEqualsKernel(simulation, excludedBy);
    await host.release(NIC);
    await assertModelEqualsKernel(simulation, excludedBy);
  });

  it("hold and release, which finds nothing to release yet", async () => {
    const { simulation, host } = slowHost();
    expect((await loser(host.hold(NIC, "default"), host.release(NIC))).errorClass).toBe("NotHeld");
    await assertModelEqualsKernel(simulation);
  });
});

describe("devices of one group", () => {
  it("take turns, and nobody is refused for the other's sake", async () => {
    const { simulation, kernel, host, ioas } = slowHost({ group: 1 });
    let underWay = 0;
    kernel.queued = async (call) => {
      if (call !== "IOVA_RANGES") expect(++underWay, call).toBe(1);
    };
    kernel.made = async (call) => {
      if (call !== "IOVA_RANGES") underWay--;
    };
    await Promise.all([host.hold(NIC, "default"), host.hold(DISK, "default")]);
    await Promise.all([host.attach(NIC, ioas), host.attach(DISK, ioas)]);
    expect(host.ioas("default", ioas).devices).toEqual(new Set([NIC, DISK]));
    await Promise.all([host.release(NIC), host.release(DISK)]);
    await assertModelEqualsKernel(simulation, excludedBy);
  });

  it("that are held for two contexts at once: one wins, the other is told where its sibling is", async () => {
    const { simulation, host } = slowHost({ group: 1 });
    host.createContext("guest", "persistent");
    const error = await loser(host.hold(NIC, "default"), host.hold(DISK, "guest"));
    expect(error.errorClass).toBe("DeviceBusy");
    expect(error.data).toMatchObject({ errno: "EPERM", devices: [NIC] });
    await assertModelEqualsKernel(simulation);
  });

  it("move together, also when one of them is waiting for its turn", async () => {
    const { simulation, host, ioas } = slowHost({ group: 1 });
    const other = host.createIoas("default").id;
    for (const device of [NIC, DISK]) {
      await host.hold(device, "default");
      await host.attach(device, ioas);
    }
    await Promise.all([host.attach(NIC, other), host.detach(DISK)]);
    expect(host.ioas("default", ioas).devices).toEqual(new Set());
    expect(host.ioas("default", other).devices).toEqual(new Set([NIC]));
    await assertModelEqualsKernel(simulation, excludedBy);
  });
});

describe("the end of a context", () => {
  it("waits for a hold under way, and then gives the device back", async () => {
    const { simulation, kernel, changes, host } = slowHost();
    host.createContext("guest", "persistent");
    const hold = host.hold(NIC, "guest");
    await kernel.when("BIND");
    await host.destroyContext("guest");
    await hold;
    expect(changes.map(({ event }) => event).slice(-3)).toEqual([
      "DEVICE_HELD",
      "DEVICE_RELEASED",
      "CONTEXT_DESTROYED",
    ]);
    await assertModelEqualsKernel(simulation);
  });

  it("refuses a hold that was waiting for its sibling's turn", async () => {
    const { simulation, kernel, host } = slowHost({ group: 1 });
    host.createContext("guest", "persistent");
    const first = host.hold(NIC, "guest");
    const second = refusal(() => host.hold(DISK, "guest"));
    await kernel.when("BIND");
    await host.destroyContext("guest");
    await first;
    expect((await second).errorClass).toBe("ContextNotFound");
    await assertModelEqualsKernel(simulation);
  });

  it("hides it at once from everybody else", async () => {
    const { simulation, host } = slowHost();
    host.createContext("guest", "persistent");
    const { id } = host.createIoas("guest");
    await host.hold(NIC, "guest");
    const end = host.destroyContext("guest");
    const errors = await Promise.all([
      refusal(() => host.hold(DISK, "guest")),
      refusal(() => host.createIoas("guest")),
      refusal(() => host.ioas("guest", id)),
      refusal(() => host.destroyContext("guest")),
      refusal(() => host.attach(NIC, id)),
      refusal(() => host.release(NIC)),
    ]);
    expect(errors.map(({ errorClass }) => errorClass)).toEqual([
      ...Array(4).fill("ContextNotFound"),
      ...Array(2).fill("NotHeld"),
    ]);
    await end;
    await assertModelEqualsKernel(simulation);
  });

  it("waits for an answer that is being read, so that no other file gets its descriptor meanwhile", async () => {
    const { simulation, kernel, host, ioas } = slowHost();
    host.createContext("guest", "persistent");
    const guest = host.createIoas("guest").id;
    await host.hold(NIC, "guest");
    const attach = host.attach(NIC, guest);
    let makeRoom = () => {};
    kernel.queued = async (call) => {
      if (call === "IOVA_RANGES") await new Promise<void>((resolve) => (makeRoom = resolve));
    };
    const answer = simulation.allowed("guest", guest);
    await attach;
    const end = host.destroyContext("guest");
    // As long as the guest's devices take to be closed, and more.
    await host.hold(DISK, "default");
    await host.release(DISK);
    host.createContext("next", "persistent");
    host.createIoas("next");
    makeRoom();
    expect((await answer).ranges).toEqual(setOf(MSI).invert());
    await end;
    expect((await simulation.allowed("default", ioas)).ranges).toEqual(RangeSet.ALL);
    await assertModelEqualsKernel(simulation);
  });

  it("is the same for everybody who asks for it", async () => {
    const { simulation, host } = slowHost();
    const context = host.createContext("guest", "connection");
    await host.hold(NIC, "guest");
    await Promise.all([host.destroyContext("guest"), host.endLease(context)]);
    expect(host.heldCount).toBe(0);
    await host.endLease(context);
    await assertModelEqualsKernel(simulation);
  });
});

describe("an IOAS cannot be destroyed", () => {
  it("while a device is on its way into it", async () => {
    const { simulation, host, ioas } = slowHost();
    await host.hold(NIC, "default");
    const attach = host.attach(NIC, ioas);
    expect((await refusal(() => host.destroyIoas("default", ioas))).errorClass).toBe("IoasBusy");
    await attach;
    expect((await refusal(() => host.destroyIoas("default", ioas))).errorClass).toBe("IoasBusy");
    await assertModelEqualsKernel(simulation, excludedBy);
  });

  it("while a device waits for its turn to get into it", async () => {
    const { simulation, host, ioas } = slowHost({ group: 1 });
    const other = host.createIoas("default").id;
    await host.hold(NIC, "default");
    await host.hold(DISK, "default");
    const attaches = [host.attach(NIC, other), refusal(() => host.attach(DISK, ioas))];
    expect((await refusal(() => host.destroyIoas("default", ioas))).errorClass).toBe("IoasBusy");
    await Promise.all(attaches);
    host.destroyIoas("default", ioas);
    await assertModelEqualsKernel(simulation, excludedBy);
  });

  it("while its answer waits in a thread, for its id would come to mean another one", async () => {
    const { simulation, kernel, host, ioas } = slowHost();
    await host.hold(NIC, "default");
    const attach = host.attach(NIC, ioas);
    let makeRoom = () => {};
    kernel.queued = async (call) => {
      if (call === "IOVA_RANGES") await new Promise<void>((resolve) => (makeRoom = resolve));
    };
    const answer = simulation.allowed("default", ioas);
    await attach;
    await host.detach(NIC);
    const { errorClass, message } = await refusal(() => host.destroyIoas("default", ioas));
    expect(errorClass).toBe("IoasBusy");
    expect(message).toContain("try again");
    makeRoom();
    await answer;
    host.destroyIoas("default", ioas);
    await assertModelEqualsKernel(simulation, excludedBy);
  });
});

describe("two lists of allowed ranges for one IOAS", () => {
  it("are given to the kernel one after the other, so that the one shown is the one in force", async () => {
    const { kernel, host, ioas } = slowHost();
    await host.hold(NIC, "default");
    const attach = host.attach(NIC, ioas);
    let told = 0;
    kernel.made = async (call) => {
      const isFirst = call === "ALLOW_IOVAS" && told++ === 0;
      for (let later = 0; isFirst && later < 50; later++) await null;
    };
    await Promise.all([
      host.allowRanges("default", ioas, RangeSet.from([{ start: 0n, last: 0xfffn }])),
      host.allowRanges("default", ioas, setOf(HIGH)),
    ]);
    await attach;
    assert.deepEqual([...(host.ioas("default", ioas).allowList ?? [])], [...setOf(HIGH)]);
    await host.hold(DISK, "default");
    expect((await refusal(() => host.attach(DISK, ioas))).errorClass).toBe("RangeConflict");
  });
});

describe("the end of the host", () => {
  it("leaves nothing open, whatever is under way", async () => {
    const { simulation, kernel, host, ioas } = slowHost();
    host.createContext("guest", "persistent");
    const guest = host.createIoas("guest").id;
    await host.hold(NIC, "default");
    const underWay = [
      host.attach(NIC, ioas),
      host.hold(DISK, "guest"),
      simulation.allowed("default", ioas),
      simulation.allowed("guest", guest),
    ];
    await kernel.when("BIND");
    await host.close();
    await Promise.all(underWay);
    expect(simulation.openPaths()).toEqual([]);
    expect(host.contexts()).toEqual([]);
  });

  it("waits for a probe", async () => {
    const { simulation, host } = slowHost();
    const probe = host.probe(NIC);
    await host.close();
    expect(simulation.openPaths()).toEqual([]);
    await probe;
  });

  it("waits for a context that somebody else is destroying", async () => {
    const { simulation, host } = slowHost();
    host.createContext("guest", "persistent");
    await host.hold(NIC, "guest");
    await host.hold(DISK, "guest");
    const end = host.destroyContext("guest");
    await host.close();
    expect(simulation.openPaths()).toEqual([]);
    await end;
  });

  it("includes what begins while it is under way", async () => {
    const { simulation, host } = slowHost();
    await host.hold(NIC, "default");
    const end = host.close();
    host.createContext("late", "persistent");
    await end;
    expect(simulation.openPaths()).toEqual([]);
  });
});
