// Predicts what an IOAS with 1,000 devices of 50 reserved regions each would allow, and who excludes the rest: once from
// what is known of the devices, once as a whole request, from JSON to JSON on a simulated host.
// Goal: a request in at most 250 ms. Run after a build: `node test/bench/plan.mjs`.
import { fileURLToPath } from "node:url";
import { attribute } from "../../dist/attribution/attribution.js";
import { Host } from "../../dist/host/host.js";
import { SimulatedKernel } from "../../dist/kernel/simulated/simulated-kernel.js";
import { parseTopology } from "../../dist/kernel/simulated/topology-file.js";
import { DEFAULT_LIMITS } from "../../dist/limits.js";
import { makePlan } from "../../dist/plan/plan.js";
import { deviceSource } from "../../dist/plan/sources.js";
import { finish } from "../../dist/ranges/steps.js";
import { ResultTexts } from "../../dist/rpc/encode.js";
import { predictAllowedRanges } from "../../dist/rpc/methods/planning.js";
import { parseParams } from "../../dist/rpc/params.js";
import { TimeSlices } from "../../dist/rpc/time-slices.js";

const DEVICES = 1000;
const REGIONS = 50;
const ROUNDS = 7;
const WARM_UPS = 2;

/** @returns {Promise<{devices: number, regions: number, exclusions: number, planMilliseconds: number, requestMilliseconds: number}>} medians */
export async function benchPlan() {
  const host = new Host(new SimulatedKernel(parseTopology(topology())));
  const known = await host.reservedOf((await host.devices()).map(({ platform }) => platform));
  const request = predictRequest(known.map(({ platform }) => platform.device));
  const planTimes = [];
  const requestTimes = [];
  let count = 0;
  for (let round = -WARM_UPS; round < ROUNDS; round++) {
    const began = performance.now();
    count = [...attribute(finish(makePlan(known.map(deviceSource))).claims)].length;
    const planned = performance.now();
    const answer = await request(host);
    const answered = performance.now();
    assertSame(answer, count);
    if (round < 0) continue;
    planTimes.push(planned - began);
    requestTimes.push(answered - planned);
  }
  return {
    devices: DEVICES,
    regions: DEVICES * REGIONS,
    exclusions: count,
    planMilliseconds: median(planTimes),
    requestMilliseconds: median(requestTimes),
  };
}

/** Every device has the MSI window and 49 regions of its own, many of which overlap others'. */
function topology() {
  const random = xorshift(88172645463325252n);
  const devices = Array.from({ length: DEVICES }, (_, n) => ({
    device: `0000:${hex(n >> 5, 2)}:${hex(n & 31, 2)}.0`,
    iommu: "dmar0",
    driver: "vfio-pci",
    regions: [
      { start: "0xfee00000", last: "0xfeefffff", type: "msi" },
      ...Array.from({ length: REGIONS - 1 }, () => {
        const start = (random() >> 20n) << 12n;
        return { start: `0x${hex(start)}`, last: `0x${hex(start + (random() >> 24n))}`, type: "reserved" };
      }),
    ],
  }));
  return { iommus: [{ name: "dmar0" }], devices };
}

function predictRequest(devices) {
  const line = JSON.stringify({ devices });
  const slice = new TimeSlices().slice(0);
  return async (host) => {
    const params = await parseParams(predictAllowedRanges.params, JSON.parse(line), slice);
    const result = await predictAllowedRanges.handler(params, { host, limits: DEFAULT_LIMITS, slice });
    return new ResultTexts().of(result, slice);
  };
}

function assertSame(answer, count) {
  const { excluded } = JSON.parse(answer.join(""));
  if (excluded.length !== count) {
    throw new Error(`${count} exclusions were expected, not ${excluded.length}`);
  }
}

function xorshift(seed) {
  let state = seed;
  return () => {
    state ^= BigInt.asUintN(64, state << 13n);
    state ^= state >> 7n;
    state ^= BigInt.asUintN(64, state << 17n);
    return state;
  };
}

function hex(value, digits = 1) {
  return value.toString(16).padStart(digits, "0");
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const result = await benchPlan();
  console.log(
    `${result.devices} devices with ${result.regions} regions, ${result.exclusions} exclusions: planned in ${result.planMilliseconds.toFixed(0)} ms, whole request ${result.requestMilliseconds.toFixed(0)} ms`,
  );
}
