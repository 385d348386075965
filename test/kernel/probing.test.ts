import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Client } from "../../src/client/index.ts";
import { cdevOf, DEVICES, kernelUnderTest, SIBLINGS } from "../conformance/kernel-under-test.ts";
import { currentPlatform, PLATFORM_NAME } from "../conformance/platforms.ts";
import { Session } from "../conformance/session.ts";
import { Daemon, MAIN } from "../daemon/daemon.ts";
import { endUnsurprised, openDevices, wireRanges } from "./guest.ts";

const { apertureLast, estimatedLast, excluded } = currentPlatform();
const [aperture] = wireRanges([[0n, apertureLast]]);
const suggested =
  estimatedLast === null
    ? { aperture: null, "aperture-source": "unknown" }
    : { aperture: wireRanges([[0n, estimatedLast]])[0], "aperture-source": "estimate" };

let daemon: Daemon;
let client: Client;
/** The other process is this one. */
let other: Session;
let shutdown: () => Promise<void>;

beforeAll(async () => {
  daemon = await Daemon.start();
  client = await daemon.client();
  const { kernel, devices } = await kernelUnderTest();
  other = new Session(kernel, devices);
  shutdown = () => kernel.shutdown();
});
afterAll(async () => {
  await other.end();
  await shutdown();
  await endUnsurprised(daemon);
});

const ask = (device: string) => client.call("query-reserved-ranges", { device });

it(`a capture on ${PLATFORM_NAME}, replayed, answers what the host answers`, async () => {
  // Before any probe: the capture is of a process that has done none.
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, "--capture"], { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const replay = await Daemon.start({ topology: JSON.parse(stdout) });
  try {
    const [real, replayed] = [await answers(client), await answers(await replay.client())];
    expect(replayed).toEqual(real);
    expect(real.devices.map(({ device }) => device)).toEqual(
      expect.arrayContaining([...DEVICES, ...SIBLINGS]),
    );
  } finally {
    await replay.stop();
  }
});

/** What there is to ask at rest, but for names that the kernel chooses and for what depends on how often was asked. */
async function answers(client: Client) {
  const { devices } = await client.call("query-devices");
  const names = devices.map(({ device }) => device);
  const reserved = [];
  for (const device of names) {
    const { cached: _, generation: __, ...answer } = await client.call("query-reserved-ranges", { device });
    reserved.push(answer);
  }
  const everything = { start: "0x0", last: "0xffffffffffffffff" };
  return {
    devices: devices.map((device) => ({ ...device, "vfio-device": device["vfio-device"] !== null })),
    reserved,
    predicted: await client.call("predict-allowed-ranges", { devices: names }),
    explained: await client.call("explain-range", everything),
    kernel: (await client.call("query-status")).kernel,
  };
}

it.each([
  ["that another process has bound", DEVICES[0], DEVICES[0]],
  ["whose group sibling another process has bound", SIBLINGS[0], SIBLINGS[1]],
])("a probe of a device %s fails with DeviceBusy and changes nothing", async (_which, bound, asked) => {
  const before = await ask(asked);
  const iommufd = other.openIommufd();
  const ioas = other.allocIoas(iommufd);
  const cdev = other.open(cdevOf(other.kernel, bound));
  await other.bind(cdev, iommufd);
  await other.attach(cdev, ioas);
  const theirs = other.rangesAndAlignment(iommufd, ioas);

  await expect(client.call("probe-device", { device: asked })).rejects.toMatchObject({
    data: { class: "DeviceBusy", processes: [process.pid] },
  });

  expect(openDevices(daemon.pid)).toEqual([]);
  expect(other.rangesAndAlignment(iommufd, ioas)).toEqual(theirs);
  expect(await ask(asked)).toEqual({ ...before, cached: true });
  await other.end();
});

it("the aperture is an estimate until a probe, and afterwards what the estimate was", async () => {
  expect(await ask(DEVICES[0])).toMatchObject({ source: "sysfs", ...suggested });
  const probed = await client.call("probe-device", { device: DEVICES[0] });
  expect(probed).toMatchObject({ source: "probe", aperture, "aperture-source": "probe" });
  expect(probed.reserved).toEqual(wireRanges(excluded));
  for (const device of [DEVICES[1], ...SIBLINGS]) {
    expect(await ask(device)).toMatchObject({ source: "sysfs", aperture, "aperture-source": "estimate" });
  }
});
