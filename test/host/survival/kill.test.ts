import assert from "node:assert/strict";
import { toWireEvent } from "../../../src/rpc/events.ts";
import { IS_LONG } from "../../runs.ts";
import { assertModelEqualsKernel, DISK, GPU, NIC, setOf } from "../simulation.ts";
import { killInEveryCall } from "./matrix.ts";
import { filesOf, Stage } from "./stage.ts";
import { World } from "./world.ts";

/** Each device has a region of its own, by which an IOAS's answer tells who is attached. */
const REGIONS = new Map(
  [NIC, DISK, GPU].map((device, index) => [
    device,
    { start: `0x3${index}0000`, last: `0x3${index}ffff`, type: "reserved" },
  ]),
);
const regionsOf = (device: string) => [REGIONS.get(device) ?? []].flat();
const excludedBy = (device: string) => setOf(...regionsOf(device));

const begin = () =>
  new World({
    devices: [
      { device: NIC, group: 1, regions: regionsOf(NIC) },
      { device: DISK, group: 1, regions: regionsOf(DISK) },
      { device: GPU, group: 2, regions: regionsOf(GPU) },
    ],
  });
/** `npm test` kills at every fifth step, begun with another one each time. */
const FIRST = Math.floor(Math.random() * 5);

let world = begin();
let stage: Stage;

killInEveryCall(
  {
    kernel: "the simulated kernel",
    async next() {
      stage = new Stage(world, { nic: NIC, sibling: DISK, gpu: GPU });
      return stage;
    },
    buried: () => world.reap(),
    heard: () =>
      world.told.splice(0).flatMap((change) => {
        const params = toWireEvent(change);
        return params ? { method: change.event, params } : [];
      }),
    async assertWhole(player) {
      const machine = { host: stage.life.host, machine: world.machine };
      await assertModelEqualsKernel(machine, excludedBy, (fd) => world.isStored(fd));
      const stored = world.stored.map(({ name }) => name);
      assert.deepEqual(stored.sort(), filesOf(await player.model()).sort());
    },
    async assertEmpty() {
      assert.deepEqual([world.stored, world.machine.openFds()], [[], []]);
    },
    async end() {
      world = begin();
    },
  },
  { timeout: 60_000, isDeadly: (_step, at) => IS_LONG || at % 5 === FIRST },
);
