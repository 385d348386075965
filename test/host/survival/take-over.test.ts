import assert from "node:assert/strict";
import { beforeEach, describe, it, vi } from "vitest";
import type { Loss } from "../../../src/host/changes.ts";
import { ofFormat } from "../../service/journal-format.ts";
import { assertModelEqualsKernel, DISK, GPU, NIC, refusal, setOf } from "../simulation.ts";
import { Life } from "./life.ts";
import { World } from "./world.ts";

const REGIONS = new Map(
  [NIC, DISK, GPU].map((device, i) => [
    device,
    { start: `0x${i}0000`, last: `0x${i}ffff`, type: "reserved" },
  ]),
);
const excludedBy = (device: string) => setOf(...[REGIONS.get(device) ?? []].flat());

let world: World;
let life: Life;

/** The NIC is attached to IOAS 1 of "guest", the disk is held there; the GPU is free. */
beforeEach(async () => {
  const devices = [NIC, DISK, GPU].map((device, group) => ({
    device,
    group,
    regions: [REGIONS.get(device) ?? []].flat(),
  }));
  world = new World({ devices });
  life = new Life(world);
  const { host } = life;
  host.createContext("guest", "persistent", 7);
  host.createIoas("guest", 7);
  await host.hold(NIC, "guest", 7);
  await host.hold(DISK, "guest", 7);
  await host.attach(NIC, 1);
  life.journal.flush();
});

/** The process dies at rest, and another one takes over. */
async function restart(grace = 30): Promise<readonly Loss[]> {
  life.dies = life.steps.length;
  await world.reap();
  world.told.length = 0;
  life = new Life(world);
  const lost = await life.host.takeOver(grace);
  life.journal.flush();
  await assertModelEqualsKernel({ host: life.host, machine: world.machine }, excludedBy, (fd) =>
    world.isStored(fd),
  );
  return lost ?? [];
}

/** What the journal's file has, cut behind so many bytes. */
function cut(length: number): void {
  const storage = world.storages.find(({ bytes }) => bytes.length > 0);
  assert(storage);
  storage.bytes = storage.bytes.subarray(0, length);
}

const told = () => world.told.map((change) => [change.event, "cause" in change && change.cause]);

it("a first life has nothing to take over", async () => {
  assert.equal(await new Life(new World({ devices: [] })).host.takeOver(30), undefined);
});

it("a restart at rest loses nothing, changes nothing and tells nothing", async () => {
  const before = life.snapshot();
  const { generation } = life.host.ioas("guest", 1);
  assert.deepEqual(await restart(), []);
  assert.deepEqual([life.snapshot(), told()], [before, []]);
  assert.equal(life.host.ioas("guest", 1).generation, generation);
});

describe("what was answered and not told to listeners when the process died", () => {
  /** The same in one life that was killed before it told, and in one that was not. */
  async function compare(operate: () => Promise<unknown>): Promise<void> {
    const before = life.snapshot();
    await operate();
    const { generation } = life.host.ioas("guest", 1);
    const after = life.snapshot();
    const heard = [...world.told];
    assert.notDeepEqual(world.folded(before), after);
    assert.deepEqual(await restart(), []);
    world.told.unshift(...heard);
    assert.deepEqual([life.snapshot(), world.folded(before)], [after, after]);
    assert(life.host.ioas("guest", 1).generation >= generation);
    assert.deepEqual(await restart(), []);
    assert.deepEqual(told(), []);
  }

  beforeEach(() => {
    world.told.length = 0;
  });

  it("is told by the next one: an attach", () => compare(() => life.host.attach(DISK, 1)));

  it("is told by the next one: a detach", () => compare(() => life.host.detach(NIC, 7)));

  it("is told by the next one: a move", async () => {
    const { id } = life.host.createIoas("guest", 7);
    world.told.length = 0;
    await compare(() => life.host.attach(NIC, id));
  });

  it("is told by the next one: an attach whose effect was seen before its end", () =>
    compare(async () => {
      const { host, kernel } = life;
      const ioas = host.ioas("guest", 1);
      await host.allowed(ioas);
      const made = kernel.made;
      kernel.made = async (call) => {
        if (call === "ATTACH") await host.allowed(ioas);
        await made(call);
      };
      await host.attach(DISK, 1);
    }));

  it("is told by the next one: there and back, and elsewhere", () =>
    compare(async () => {
      await life.host.detach(NIC, 7);
      await life.host.attach(DISK, 1);
      await life.host.attach(NIC, 1);
    }));
});

describe("what was answered in the turn of the loop in which something else begins is so in the next life, whenever that is killed:", () => {
  /** Kills what `begin` does before and behind each of its steps; `answer` was answered before. */
  async function killEach(answer: () => Promise<unknown>, begin: () => Promise<unknown>): Promise<void> {
    for (let dies = 1; ; dies++) {
      await setUp();
      const generations = () =>
        [...life.host.context("guest").ioases.values()].map((each) => each.generation);
      let answered: number[] = [];
      let seats: unknown[] = [];
      const end = await life.until(async () => {
        await answer();
        answered = generations();
        seats = [NIC, DISK].map((device) => life.host.heldDevice(device).ioas?.id);
        life.dies = life.steps.length + dies;
        await begin();
      });
      assert.deepEqual(await restart(), []);
      const now = new Map(
        Array.from(life.host.context("guest").ioases.values(), ({ id, generation }) => [id, generation]),
      );
      for (const [i, generation] of answered.entries())
        assert((now.get(i + 1) ?? generation) >= generation, `IOAS ${i + 1} after ${life.steps.length}`);
      for (const [i, device] of [NIC, DISK].entries()) {
        const held = life.snapshot().devices.find((each) => each.device === device);
        if (held?.state !== "observed") assert.equal(held?.ioas ?? undefined, seats[i], device);
      }
      if (end !== "killed") return;
    }
  }

  let setUp: () => Promise<void>;

  /** Both devices are of one group, and in IOAS 1. */
  beforeEach(() => {
    setUp = async () => {
      world = new World({
        devices: [NIC, DISK].map((device) => ({
          device,
          group: 1,
          regions: [REGIONS.get(device) ?? []].flat(),
        })),
      });
      life = new Life(world);
      life.host.createContext("guest", "persistent", 7);
      for (let i = 0; i < 2; i++) life.host.createIoas("guest", 7);
      for (const device of [NIC, DISK]) {
        await life.host.hold(device, "guest", 7);
        await life.host.attach(device, 1);
      }
      life.journal.flush();
    };
  });

  it("a move, and a release", () =>
    killEach(
      () => life.host.attach(NIC, 2),
      () => life.host.release(NIC),
    ));

  it("a move, and the end of the IOAS that it has left", () =>
    killEach(
      () => life.host.attach(NIC, 2),
      async () => life.host.destroyIoas("guest", 1),
    ));

  it("a move, and an allow list for the IOAS that it has left", () =>
    killEach(
      () => life.host.attach(NIC, 2),
      () => life.host.allowRanges("guest", 1, excludedBy(NIC)),
    ));
});

it("a group is not left in two places, also when listeners are told of something else between its devices", async () => {
  for (let dies = 1; ; dies++) {
    world = new World({
      devices: [NIC, DISK, GPU].map((device) => ({
        device,
        group: 1,
        regions: [REGIONS.get(device) ?? []].flat(),
      })),
    });
    world.machine.watchDevices = () => {};
    life = new Life(world);
    const { host } = life;
    for (let i = 0; i < 2; i++) host.createIoas("default");
    for (const device of [NIC, DISK]) {
      await host.hold(device, "default");
      await host.attach(device, 1);
    }
    life.journal.flush();
    await world.machine.setDriver(GPU, null);
    // A look that has seen all three, and has yet to tell.
    await new Promise<void>((seen) => {
      let count = 0;
      const pass = async () => {
        if (++count < 3) return;
        seen();
        await new Promise<void>(() => {});
      };
      void host.look({ isOver: true, pass });
    });
    life.dies = life.steps.length + dies;
    const end = await life.until(() => host.attach(NIC, 2));
    assert.deepEqual(await restart(), [], `killed ${dies} steps on`);
    const [one, other] = [NIC, DISK].map((device) => life.host.heldDevice(device).ioas?.id);
    assert.equal(one, other);
    if (end !== "killed") return;
  }
});

describe("an attach that was under way", () => {
  const begin = (ioas?: number) =>
    life.journal.put("under-way 99", JSON.stringify({ operation: "attach", device: DISK, ioas }));

  it("is completed, and told", async () => {
    begin(1);
    assert.deepEqual(await restart(), []);
    assert.equal((await life.host.device(DISK)).ioas, 1);
    assert.deepEqual(told()[0], ["DEVICE_ATTACHED", false]);
  });

  it("is not, where the kernel refuses it", async () => {
    await life.host.allowRanges("guest", 1, excludedBy(DISK));
    begin(1);
    assert.deepEqual(await restart(), []);
    assert.equal((await life.host.device(DISK)).ioas, null);
    assert(!told().some(([event]) => event === "DEVICE_ATTACHED"));
  });

  it.each([
    ["to an IOAS that is gone", 99],
    ["to one that the version before did not note", undefined],
  ])("is not, %s", async (_what, ioas) => {
    begin(ioas);
    assert.deepEqual(await restart(), []);
    assert.equal((await life.host.device(DISK)).ioas, null);
  });

  it("is not noted where a sibling's owner does not permit it", async () => {
    world = new World({ devices: [NIC, DISK].map((device) => ({ device, group: 1 })) });
    life = new Life(world);
    const { host } = life;
    const [from, to] = [host.createIoas("default"), host.createIoas("default")];
    for (const device of [NIC, DISK]) {
      await host.hold(device, "default");
      await host.attach(device, from.id);
    }
    life.journal.flush();
    const before = life.steps.length;
    const refuse = ({ platform }: { readonly platform: { readonly device: string } }) => {
      throw new Error(`not ${platform.device}`);
    };
    await assert.rejects(host.attach(NIC, to.id, refuse), { message: `not ${DISK}` });
    assert.deepEqual(life.steps.slice(before), []);
  });
});

it("an attach whose end there was no room for is not done again when the device has gone elsewhere", async () => {
  const { id } = life.host.createIoas("guest", 7);
  await life.host.attach(DISK, 1);
  const storage = world.storages.find(({ bytes }) => bytes.length > 0);
  assert(storage);
  const { append } = storage;
  storage.append = () => {
    throw new Error("ENOSPC");
  };
  assert.throws(() => life.journal.flush(), /ENOSPC/);
  storage.append = append;
  await life.host.attach(DISK, id);
  life.journal.flush();
  assert.deepEqual(await restart(), []);
  assert.deepEqual([life.host.heldDevice(DISK).ioas?.id, told()], [id, []]);
});

it("of an IOAS that is destroyed while it is looked at nothing more is told, and nothing is left", async () => {
  const { host } = life;
  const detached = host.detach(NIC, 7);
  const destroy = () => {
    try {
      host.destroyIoas("guest", 1);
      return true;
    } catch {
      return false;
    }
  };
  while (!destroy()) await undefined;
  await detached;
  life.journal.flush();
  assert.equal(world.told.at(-1)?.event, "IOAS_DESTROYED");
  assert.deepEqual(
    [...life.journal.entries.keys()].filter((key) => key.endsWith("guest 1")),
    [],
  );
});

it("what a probe taught is known, with generations that are no less", async () => {
  await life.host.probe(GPU);
  const { reserved } = await life.host.reserved(GPU);
  await restart();
  const after = (await life.host.reserved(GPU)).reserved;
  assert.deepEqual([after.source, after.apertureSource], ["probe", "probe"]);
  assert(after.generation >= reserved.generation);
});

it("a shared context's answers have generations that are no less, also when only questions were asked", async () => {
  life.host.handOverContext("guest", () => ({ isUnderWay: false }));
  for (let i = 0; i < 5; i++) await life.host.allowed(life.host.ioas("guest", 1));
  const { generation } = await life.host.allowed(life.host.ioas("guest", 1));
  await restart();
  assert((await life.host.allowed(life.host.ioas("guest", 1))).generation > generation);
});

it("an allow list holds in the kernel as the model says, whenever the process was killed while it was set", async () => {
  const list = excludedBy(GPU);
  for (let dies = 1; ; dies++) {
    life.dies = life.steps.length + dies;
    const end = await life.until(() => life.host.allowRanges("guest", 1, list));
    await restart();
    const { allowList } = life.host.ioas("guest", 1);
    await life.host.hold(GPU, "guest", 7);
    if (allowList) assert.equal((await refusal(() => life.host.attach(GPU, 1))).errorClass, "RangeConflict");
    else await life.host.attach(GPU, 1);
    await life.host.release(GPU);
    if (end !== "killed") break;
    await life.host.allowRanges("guest", 1, setOf());
  }
});

describe("an allow list and an attach at the same time, whenever the process is killed, are no loss:", () => {
  const list = excludedBy(DISK);

  /** `before` is answered, and what is asked for then is not. */
  async function killEach(before: () => Promise<unknown>, calls: () => Promise<unknown>): Promise<void> {
    for (let dies = 1; ; dies++) {
      await before();
      life.dies = life.steps.length + dies;
      const end = await life.until(calls);
      const { steps } = life;
      assert.deepEqual(await restart(), [], steps.slice(-6).join("; "));
      if (end !== "killed") return;
      await life.host.detach(DISK, 7);
      await life.host.allowRanges("guest", 1, setOf());
    }
  }

  it("a shorter one, which lets the device in", () =>
    killEach(
      () => life.host.allowRanges("guest", 1, list),
      () => Promise.allSettled([life.host.allowRanges("guest", 1, setOf()), life.host.attach(DISK, 1)]),
    ));

  it("a longer one, for the IOAS that the device leaves", async () => {
    const { id } = life.host.createIoas("guest", 7);
    await killEach(
      () => life.host.attach(DISK, 1),
      () => {
        const { host, kernel } = life;
        const { made } = kernel;
        // The loop learns of both at the same time.
        kernel.made = async (call) => {
          if (call === "ATTACH") await new Promise(setImmediate);
          await made(call);
        };
        return Promise.allSettled([
          host.attach(DISK, id),
          kernel.when("ATTACH").then(() => host.allowRanges("guest", 1, list)),
        ]);
      },
    );
  });
});

describe("a device that was handed over", () => {
  beforeEach(() => life.host.handOverDevice(GPU, "guest", () => ({ isUnderWay: false }), 7));

  it("is so for as long as its process has it", async () => {
    world.machine.fileUses.push({ path: "/dev/vfio/devices/vfio2", pid: 4711, uid: 7, command: "qemu" });
    assert.deepEqual(await restart(), []);
    const { state, context, owner } = await life.host.device(GPU);
    assert.deepEqual([state, context, owner], ["handed-over", "guest", 7]);
    world.machine.fileUses.length = 0;
    assert.equal((await life.host.device(GPU)).state, "observed");
  });

  it("is free again when its process has gone meanwhile, and that is told", async () => {
    assert.deepEqual(await restart(), []);
    assert.equal((await life.host.device(GPU)).state, "observed");
    assert(told().some(([event]) => event === "DEVICE_RELEASED"));
  });
});

describe("a context that lasts as long as the devices that were handed over with it", () => {
  beforeEach(async () => {
    life.host.createContext("vm", "handed-over", 7);
    await life.host.handOverDevice(GPU, "vm", () => ({ isUnderWay: false }), 7);
    world.machine.fileUses.push({ path: "/dev/vfio/devices/vfio2", pid: 4711, uid: 7, command: "qemu" });
  });

  it("ends when they are free again, also after a restart", async () => {
    await restart();
    assert(life.host.contexts().some(({ name }) => name === "vm"));
    world.machine.fileUses.length = 0;
    await life.host.device(GPU);
    while (life.host.contexts().some(({ name }) => name === "vm")) await new Promise(setImmediate);
    assert.deepEqual(told().at(-1), ["CONTEXT_DESTROYED", "lease"]);
  });

  it("ends then also when nobody asks about them", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    try {
      await restart();
      // The guest goes on for some time.
      for (let looks = 0; looks < 3; looks++) {
        vi.advanceTimersByTime(5_000);
        await new Promise(setImmediate);
      }
      assert(life.host.contexts().some(({ name }) => name === "vm"));
      world.machine.fileUses.length = 0;
      vi.advanceTimersByTime(5_000);
      while (life.host.contexts().some(({ name }) => name === "vm")) await new Promise(setImmediate);
      assert.deepEqual(told().at(-1), ["CONTEXT_DESTROYED", "lease"]);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("a context of a connection", () => {
  beforeEach(() => {
    life.host.createContext("vm", "connection", 7);
  });

  it("goes on when its client resumes it, and nobody else's", async () => {
    await restart();
    assert.equal((await refusal(() => life.host.resumeContext("vm", 8))).errorClass, "PermissionDenied");
    assert.equal(life.host.resumeContext("vm", 7).name, "vm");
    assert.equal((await refusal(() => life.host.resumeContext("vm", 7))).errorClass, "ContextNotFound");
    assert.equal((await refusal(() => life.host.resumeContext("guest", 7))).errorClass, "ContextNotFound");
  });

  it("ends when nobody has resumed it in time", async () => {
    await restart(0);
    while (life.host.contexts().some(({ name }) => name === "vm")) await new Promise(setImmediate);
    assert.deepEqual(told().at(-1), ["CONTEXT_DESTROYED", "lease"]);
  });
});

describe("of what is wrong with what is left, the model is what the kernel has, and the loss is named:", () => {
  it.each([
    ["context guest", [DISK, NIC]],
    ["ioas guest 1", [NIC]],
    [`held ${NIC}`, [NIC]],
    [`held ${DISK}`, []],
    [`attached ${NIC}`, []],
  ] as const)("an entry is missing: %s", async (key, devices) => {
    life.drop(key);
    const lost = await restart();
    assert.deepEqual([...new Set(lost.flatMap(({ device }) => device ?? []))].sort(), [...devices].sort());
  });

  it("a descriptor is missing: the device is released, and listeners are told why", async () => {
    await world.forget(`device-${encodeURIComponent(NIC)}`);
    const lost = await restart();
    assert.deepEqual(
      lost.map(({ device }) => device),
      [NIC],
    );
    assert.deepEqual(
      told().filter(([event]) => event !== "ALLOWED_RANGES_CHANGED" && event !== "DEVICE_CHANGED"),
      [
        ["DEVICE_DETACHED", "restart"],
        ["DEVICE_RELEASED", "restart"],
      ],
    );
  });

  it("a context's descriptor is missing: it ends with all that was in it", async () => {
    await world.forget("context-guest");
    const lost = await restart();
    assert.deepEqual(
      lost.map(({ context }) => context),
      ["guest"],
    );
    assert.deepEqual(told().at(-1), ["CONTEXT_DESTROYED", "restart"]);
    await life.host.hold(NIC, "default");
  });

  it("a descriptor is there twice: the device is free when it is released", async () => {
    const name = `device-${encodeURIComponent(NIC)}`;
    const { fd } = world.stored.find((each) => each.name === name) ?? {};
    world.stored.push({ name, fd: world.machine.duplicate(fd as number) });
    assert.deepEqual(await restart(), []);
    assert.equal(world.stored.filter((each) => each.name === name).length, 1);
    await life.host.release(NIC);
    await life.host.hold(NIC, "default");
  });

  it("a descriptor is of another file: it does not pass for the device", async () => {
    const name = `device-${encodeURIComponent(DISK)}`;
    await world.forget(name);
    world.stored.push({ name, fd: world.machine.open("/dev/iommu") });
    assert.deepEqual(
      (await restart()).map(({ device }) => device),
      [DISK],
    );
  });

  it("the journal is of a version that is not known: all is released, and that is said", async () => {
    const storage = world.storages.find(({ bytes }) => bytes.length > 0);
    assert(storage);
    storage.bytes = ofFormat(9, storage.bytes);
    const [loss, ...more] = await restart();
    assert.match(loss?.reason ?? "", /format 9/);
    assert.deepEqual([more, world.stored], [[], []]);
    assert.deepEqual(
      life.snapshot().contexts.map(({ context }) => context),
      ["default"],
    );
    for (const device of [NIC, DISK]) await life.host.hold(device, "default");
  });

  it("the journal ends anywhere", async () => {
    const { length } = world.storages.find(({ bytes }) => bytes.length > 0)?.bytes ?? [];
    const cuts = Array.from({ length: 60 }, (_, i) => Math.floor(((length ?? 0) * i) / 60));
    for (const at of cuts.reverse()) {
      cut(at);
      await restart();
    }
  });
});
