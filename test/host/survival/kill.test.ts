import assert from "node:assert/strict";
import { describe, it } from "vitest";

import type { Host } from "../../../src/host/host.ts";
import { assertModelEqualsKernel, DISK, GPU, NIC, setOf } from "../simulation.ts";
import { Life, World } from "./world.ts";

/** Each device has a region of its own, by which an IOAS's answer tells who is attached. */
const REGIONS = new Map(
  [NIC, DISK, GPU].map((device, index) => [
    device,
    { start: `0x${index}0000`, last: `0x${index}ffff`, type: "reserved" },
  ]),
);
const regionsOf = (device: string) => [REGIONS.get(device) ?? []].flat();
const excludedBy = (device: string) => setOf(...regionsOf(device));

interface Operation {
  readonly name: string;
  readonly before?: (host: Host) => unknown;
  readonly call: (host: Host) => unknown;
  /** What else may have become of it. */
  readonly orElse?: (host: Host) => unknown;
}

const send = () => ({ isUnderWay: false });

const OPERATIONS: readonly Operation[] = [
  { name: "create-context", call: (host) => host.createContext("other", "persistent", 7) },
  {
    name: "create-context with rlimit-mode",
    call: (host) => host.createContext("other", "connection", 7, true),
  },
  { name: "destroy-context", call: (host) => host.destroyContext("guest") },
  { name: "create-ioas", call: (host) => host.createIoas("guest", 7) },
  { name: "create-ioas, the first in default", call: (host) => host.createIoas("default", 7) },
  { name: "destroy-ioas", call: (host) => host.destroyIoas("guest", 2) },
  { name: "allow-ranges", call: (host) => host.allowRanges("guest", 1, excludedBy(GPU)) },
  {
    name: "allow-ranges, in place of others",
    before: (host) => host.allowRanges("guest", 1, setOf({ start: "0x90000", last: "0x9ffff", type: "" })),
    call: (host) => host.allowRanges("guest", 1, excludedBy(GPU)),
  },
  { name: "probe-device", call: (host) => host.probe(GPU) },
  { name: "hold-device", call: (host) => host.hold(GPU, "guest", 7) },
  { name: "hold-device, the first in default", call: (host) => host.hold(GPU, "default", 7) },
  { name: "release-device", call: (host) => host.release(NIC) },
  {
    name: "attach-device",
    before: (host) => host.hold(GPU, "guest", 7),
    call: (host) => host.attach(GPU, 2),
  },
  {
    name: "attach-device beside others",
    before: (host) => host.hold(GPU, "guest", 7),
    call: (host) => host.attach(GPU, 1),
  },
  { name: "attach-device, a replace of a whole group", call: (host) => host.attach(NIC, 2) },
  { name: "detach-device", call: (host) => host.detach(NIC) },
  {
    name: "hand-over-device",
    call: (host) => host.handOverDevice(GPU, "guest", send, 7),
    // Nobody has got it, so it is free again.
    orElse: (host) => host.handOverContext("guest", send),
  },
  { name: "hand-over-context", call: (host) => host.handOverContext("guest", send) },
];

/** The NIC and its sibling, a disk, are attached to IOAS 1 of "guest"; 2 is empty; the GPU is free. */
async function begin({ before }: Operation): Promise<{ world: World; life: Life }> {
  const world = new World({
    devices: [
      { device: NIC, group: 1, regions: regionsOf(NIC) },
      { device: DISK, group: 1, regions: regionsOf(DISK) },
      { device: GPU, group: 2, regions: regionsOf(GPU) },
    ],
  });
  const life = new Life(world);
  const { host } = life;
  host.createContext("guest", "persistent", 7);
  for (let i = 0; i < 2; i++) host.createIoas("guest", 7);
  for (const device of [NIC, DISK]) {
    await host.hold(device, "guest", 7);
    await host.attach(device, 1);
  }
  await before?.(host);
  return { world, life };
}

/** What must not be less in a later life. */
function generations(host: Host): Map<string, number> {
  const all = host
    .contexts()
    .flatMap(({ name, ioases }) => Array.from(ioases.values(), (ioas) => ({ name, ioas })));
  return new Map(all.map(({ name, ioas }) => [`${name} ${ioas.id}`, ioas.generation]));
}

/** The next process, when it has taken over. */
async function next(world: World): Promise<{ life: Life; lost: readonly unknown[] }> {
  await world.reap();
  const life = new Life(world);
  const lost = await life.host.takeOver(30);
  life.host.restarted("instance", lost ?? []);
  return { life, lost: lost ?? [] };
}

async function assertWhole(world: World, { host }: Life): Promise<void> {
  await assertModelEqualsKernel({ host, machine: world.machine }, excludedBy, (fd) => world.isStored(fd));
  const kept = host
    .contexts()
    .flatMap((context) => [
      ...(context.isOpen ? [`context-${context.name}`] : []),
      ...host.devicesIn(context).map(({ platform }) => `device-${encodeURIComponent(platform.device)}`),
    ]);
  assert.deepEqual(world.stored.map(({ name }) => name).sort(), kept.sort());
}

describe("killed before or behind whichever system call of", () => {
  it.each(OPERATIONS)(
    "$name: the next process has the state before or behind it, told to listeners, with nothing left over",
    {
      timeout: 60_000,
    },
    async (operation) => {
      const whole = await begin(operation);
      const before = whole.life.snapshot();
      const first = whole.life.steps.length;
      await operation.call(whole.life.host);
      const after = whole.life.snapshot();
      const { steps } = whole.life;
      const other = await begin(operation);
      await operation.orElse?.(other.life.host);
      const possible = [before, after, other.life.snapshot()].map((state) => JSON.stringify(state));
      assert(steps.length > first);
      for (let dies = first + 1; dies <= steps.length; dies++) {
        const { world, life } = await begin(operation);
        const known = generations(life.host);
        world.told.length = 0;
        life.dies = dies;
        const end = await life.until(() => operation.call(life.host));
        assert.equal(end, "killed", `not killed at ${steps[dies - 1]}`);
        try {
          const { life: resumed, lost } = await next(world);
          assert.deepEqual(lost, []);
          await assertWhole(world, resumed);
          const state = resumed.snapshot();
          assert(possible.includes(JSON.stringify(state)), `another state: ${JSON.stringify(state)}`);
          assert.deepEqual(world.folded(before), state);
          for (const [ioas, generation] of generations(resumed.host))
            assert(generation >= (known.get(ioas) ?? 0));
          await resumed.host.close();
          assert.deepEqual(world.stored, []);
          assert.deepEqual(world.machine.openFds(), []);
        } catch (error) {
          throw new Error(`killed at step ${dies - first}: ${steps[dies - 1]}`, { cause: error });
        }
      }
    },
  );
});
