import assert from "node:assert/strict";
import { describe, expect, it } from "vitest";
import { SystemCallError } from "../../src/kernel/kernel.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { VFIO_DEVICE_DETACH_IOMMUFD_PT, vfio_device_detach_iommufd_pt } from "../../src/uapi/vfio.ts";
import { DISK, GPU, MSI, NIC, refusal, Simulation, setOf, type TestDevice } from "./simulation.ts";

const HIGH = { start: "0x100000000", last: "0x1ffffffff", type: "reserved" };

/** A NIC, and a disk that shares nothing with it, held in "default" with two empty IOASes, `a` and `b`. */
async function twoIoases(nic: Partial<TestDevice> = {}) {
  const simulation = new Simulation({
    devices: [{ device: NIC, regions: [MSI], ...nic }, { device: DISK, regions: [HIGH] }, { device: GPU }],
  });
  const { host } = simulation;
  const a = host.createIoas("default").id;
  const b = host.createIoas("default").id;
  await host.hold(NIC, "default");
  await host.hold(DISK, "default");
  const look = async () => {
    const [first, second] = [await simulation.allowed("default", a), await simulation.allowed("default", b)];
    return { a: first, b: second };
  };
  /** What `event` does to the kept answers of both IOASes. */
  const effect = async (event: () => unknown) => {
    await look();
    const before = { ...(await look()), invalidations: host.cacheCounters.invalidations };
    assert(before.a.cached && before.b.cached);
    await event();
    const { invalidations } = host.cacheCounters;
    const after = await look();
    for (const [id, answer] of [
      [a, after.a],
      [b, after.b],
    ] as const) {
      expect([...answer.ranges]).toEqual(await simulation.actual("default", id));
    }
    return {
      a: { kept: after.a.cached, generations: after.a.generation - before.a.generation },
      b: { kept: after.b.cached, generations: after.b.generation - before.b.generation },
      invalidations: invalidations - before.invalidations,
    };
  };
  return { ...simulation, simulation, host, a, b, effect };
}

const KEPT = { kept: true, generations: 0 };
const DROPPED = { kept: false, generations: 1 };

describe("of the kept answers", () => {
  it("an attach drops that IOAS's", async () => {
    const { host, a, effect } = await twoIoases();
    expect(await effect(() => host.attach(NIC, a))).toEqual({ a: DROPPED, b: KEPT, invalidations: 1 });
  });

  it("a failed first attach drops none", async () => {
    const { host, a, effect } = await twoIoases();
    await host.allowRanges("default", a, setOf(MSI));
    const { errorClass } = await refusal(() => host.attach(NIC, a));
    expect(errorClass).toBe("RangeConflict");
    expect(await effect(() => host.attach(NIC, a).catch(() => undefined))).toEqual({
      a: KEPT,
      b: KEPT,
      invalidations: 0,
    });
  });

  it("a replace drops the old and the new IOAS's", async () => {
    const { host, a, b, effect } = await twoIoases();
    await host.attach(NIC, a);
    expect(await effect(() => host.attach(NIC, b))).toEqual({ a: DROPPED, b: DROPPED, invalidations: 2 });
  });

  it("a failed replace drops both as well", async () => {
    const { host, a, b, effect } = await twoIoases();
    await host.attach(NIC, a);
    await host.allowRanges("default", b, setOf(MSI));
    expect(await effect(() => host.attach(NIC, b).catch(() => undefined))).toEqual({
      a: DROPPED,
      b: DROPPED,
      invalidations: 2,
    });
    expect(host.ioas("default", a).devices).toEqual(new Set([NIC]));
  });

  it("an attach to where the device is already drops none", async () => {
    const { host, a, effect } = await twoIoases();
    await host.attach(NIC, a);
    expect(await effect(() => host.attach(NIC, a))).toEqual({ a: KEPT, b: KEPT, invalidations: 0 });
  });

  it("a detach drops that of the IOAS it leaves, and one that leaves nothing drops none", async () => {
    const { host, a, effect } = await twoIoases();
    await host.attach(NIC, a);
    await host.attach(DISK, a);
    expect(await effect(() => host.detach(NIC))).toEqual({ a: DROPPED, b: KEPT, invalidations: 1 });
    expect(await effect(() => host.detach(NIC))).toEqual({ a: KEPT, b: KEPT, invalidations: 0 });
  });

  it("a release drops that of the IOAS the device was attached to", async () => {
    const { host, b, effect } = await twoIoases();
    await host.attach(NIC, b);
    expect(await effect(() => host.release(NIC))).toEqual({ a: KEPT, b: DROPPED, invalidations: 1 });
    expect(await effect(() => host.release(DISK))).toEqual({ a: KEPT, b: KEPT, invalidations: 0 });
  });

  it("holding, allow-ranges, a refused allow-ranges, and others coming and going drop none", async () => {
    const { host, a, effect } = await twoIoases();
    await host.attach(NIC, a);
    const events: (() => unknown)[] = [
      () => host.hold(GPU, "default"),
      () => host.allowRanges("default", a, setOf(HIGH)),
      () => host.allowRanges("default", a, setOf(MSI)).catch(() => undefined),
      () => host.createIoas("default"),
      () => host.destroyIoas("default", Math.max(...host.context("default").ioases.keys())),
      () => host.createContext("guest", "persistent"),
      () => host.destroyContext("guest"),
    ];
    for (const event of events) {
      expect(await effect(event), `${event}`).toEqual({ a: KEPT, b: KEPT, invalidations: 0 });
    }
  });

  it("an attach that is refused for another one under way drops none", async () => {
    const { host, a, b, effect } = await twoIoases({ "latency-ms": { attach: 3 } });
    expect(
      await effect(async () => {
        const attach = host.attach(NIC, a);
        expect((await refusal(() => host.attach(NIC, b))).errorClass).toBe("DeviceBusy");
        await attach;
      }),
    ).toEqual({ a: DROPPED, b: KEPT, invalidations: 1 });
  });
});

describe("the counters", () => {
  it("tell answers that were kept from answers that were asked for", async () => {
    const { simulation, host, a } = await twoIoases();
    const counted = async (count: number) => {
      const { hits, misses } = host.cacheCounters;
      for (let i = 0; i < count; i++) await simulation.allowed("default", a);
      return { hits: host.cacheCounters.hits - hits, misses: host.cacheCounters.misses - misses };
    };
    expect(await counted(5)).toEqual({ hits: 4, misses: 1 });
    expect(await counted(5)).toEqual({ hits: 5, misses: 0 });
    await host.attach(NIC, a);
    expect(await counted(1)).toEqual({ hits: 0, misses: 1 });
  });

  it("agree with the calls that the kernel gets", async () => {
    const { simulation, a } = await twoIoases();
    await simulation.allowed("default", a);
    const calls = simulation.kernel.calls.length;
    await simulation.allowed("default", a);
    expect(simulation.kernel.calls).toHaveLength(calls);
  });
});

describe("while an attach is under way", () => {
  it("the kernel is asked every time, and the last answer from before is given to nobody", async () => {
    const { simulation, host, a } = await twoIoases({ "latency-ms": { attach: 3 } });
    await simulation.allowed("default", a);
    const attach = host.attach(NIC, a);
    for (let i = 0; i < 3; i++) expect((await simulation.allowed("default", a)).cached).toBe(false);
    await attach;
    const after = await simulation.allowed("default", a);
    expect(after).toMatchObject({ cached: false, generation: 2 });
    expect(after.ranges).toEqual(setOf(MSI).invert());
    expect((await simulation.allowed("default", a)).cached).toBe(true);
  });

  it("an answer that was read before it and comes in after it is asked for once more", async () => {
    const { simulation, kernel, host, a } = await twoIoases({ "latency-ms": { attach: 3 } });
    let deliver = () => {};
    const attach = host.attach(NIC, a);
    kernel.made = async (call) => {
      if (call === "IOVA_RANGES") await new Promise<void>((resolve) => (deliver = resolve));
    };
    const old = simulation.allowed("default", a);
    await attach;
    deliver();
    const now = { generation: 2, devices: [NIC], ranges: setOf(MSI).invert() };
    expect(await old).toMatchObject({ cached: false, ...now });
    expect(await simulation.allowed("default", a)).toMatchObject({ cached: true, ...now });
  });
});

describe("while an attach is under way that comes to nothing,", () => {
  /**
   * Attaches the disk to IOAS `a`, in vain: the kernel reserves its regions, and takes them back. In between
   * `meanwhile` reads `a`, and it learns what it has read after the attach has failed.
   */
  async function attachInVain<T>(
    { kernel, machine, host, a }: Awaited<ReturnType<typeof twoIoases>>,
    meanwhile: () => Promise<T>,
  ): Promise<T> {
    const disk = machine.openFds().find(({ path }) => path.endsWith("/vfio1"))?.fd ?? -1;
    let deliver = () => {};
    let isRead = () => {};
    const read = new Promise<void>((resolve) => {
      isRead = resolve;
    });
    let answer: Promise<T> | undefined;
    kernel.made = async (call) => {
      if (call === "IOVA_RANGES") {
        isRead();
        await new Promise<void>((resolve) => {
          deliver = resolve;
        });
      }
      if (call !== "ATTACH" || answer) return;
      answer = meanwhile();
      await read;
      await machine.slowIoctl(disk, VFIO_DEVICE_DETACH_IOMMUFD_PT, vfio_device_detach_iommufd_pt.encode({}));
      throw new SystemCallError("ENOMEM", "ATTACH");
    };
    expect((await refusal(() => host.attach(DISK, a))).errorClass).toBe("KernelError");
    kernel.made = async () => {};
    deliver();
    return answer as Promise<T>;
  }

  it("an answer that was read meanwhile is not kept", async () => {
    const ioases = await twoIoases();
    const { simulation, a } = ioases;
    const early = await attachInVain(ioases, () => simulation.allowed("default", a));
    expect(early.ranges).toEqual(setOf(HIGH).invert());
    expect(await simulation.allowed("default", a)).toMatchObject({ cached: false, ranges: RangeSet.ALL });
  });

  it("a device that was attached meanwhile is not blamed for it", async () => {
    const ioases = await twoIoases();
    const { simulation, host, a } = ioases;
    await attachInVain(ioases, () => host.attach(NIC, a));
    expect((await simulation.allowed("default", a)).ranges).toEqual(setOf(MSI).invert());
    const { reserved } = await host.reserved(NIC);
    expect(reserved.excluded).toEqual(setOf(MSI));
    expect(host.mismatches).toBe(0);
  });
});
