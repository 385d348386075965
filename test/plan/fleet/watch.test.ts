import { expect, it } from "vitest";
import type { PoolHost } from "../../../src/plan/fleet/pool.ts";
import { FleetWatch } from "../../../src/plan/fleet/watch.ts";
import { RangeSet } from "../../../src/ranges/range-set.ts";
import { excluding } from "./fleets.ts";

const profile = { digest: "a", allowed: excluding(), alignment: 1n, exact: true, devices: [] };
const device = { device: "good", pci: null, assignable: true, available: true, exact: true };
const narrow = {
  ...{ ...profile, digest: "b", allowed: excluding([8, 9]) },
  devices: [
    { ...device, allowed: excluding() },
    { ...device, device: "bad", allowed: excluding([8, 9]) },
    { ...device, device: "never given", assignable: false, allowed: excluding([8, 9]) },
  ],
};
const host = (changes: object = {}): PoolHost =>
  ({ host: "n", state: "fresh", age: 1, profile, ...changes }) as PoolHost;

const WINDOWS = [
  { name: "ram", start: 0n, last: 15n, required: true },
  { name: "hole", start: 0n, last: 63n, required: false },
];

it("a host comes, changes, goes stale, is back, cannot be read, and goes", () => {
  const watch = new FleetWatch([]);
  const names = (events: { event: string }[]) => events.map(({ event }) => event);
  expect(names(watch.set(host()))).toEqual(["HOST_CAME"]);
  expect(watch.set(host({ age: 2 }))).toEqual([]);
  expect(watch.set(host({ profile: narrow }))).toEqual([
    {
      ...{ event: "HOST_CHANGED", host: "n", digest: "b", gained: RangeSet.EMPTY },
      lost: RangeSet.from([{ start: 8n, last: 9n }]),
    },
  ]);
  expect(watch.set(host({ profile: narrow, state: "stale", age: 91 }))).toEqual([
    { event: "HOST_STALE", host: "n", detail: "it has been silent for 91 s" },
  ]);
  expect(watch.set(host({ profile: narrow, state: "stale", age: 92 }))).toEqual([]);
  expect(names(watch.set(host({ profile: narrow })))).toEqual(["HOST_FRESH"]);
  expect(watch.set(host({ profile: undefined, state: "unreadable", trouble: "no JSON" }))).toEqual([
    { event: "HOST_UNREADABLE", host: "n", detail: "no JSON" },
  ]);
  expect(watch.remove("n")).toEqual([{ event: "HOST_GONE", host: "n" }]);
  expect(watch.remove("n")).toEqual([]);
});

it("a host that breaks the watched layout is told once, with the ranges and the cause, and when it mends", () => {
  const watch = new FleetWatch(WINDOWS);
  watch.set(host());
  expect(watch.fits).toBe(true);
  const broken = {
    event: "LAYOUT_BROKEN",
    host: "n",
    cause: { event: "HOST_CHANGED", devices: ["bad"] },
    windows: [
      {
        ...{ name: "ram", start: 0n, last: 15n, misaligned: false },
        conflicts: [{ start: 8n, last: 9n, causes: [{ kind: "host", host: "n" }] }],
      },
    ],
  };
  expect(watch.set(host({ profile: narrow }))).toContainEqual(broken);
  expect(watch.fits).toBe(false);
  expect(watch.set(host({ profile: narrow }))).toEqual([]);
  expect(watch.set(host())).toContainEqual({
    ...{ event: "LAYOUT_MENDED", host: "n", cause: { event: "HOST_CHANGED" } },
  });
  watch.set(host({ profile: narrow }));
  expect(watch.remove("n")).toEqual([
    { event: "HOST_GONE", host: "n" },
    { event: "LAYOUT_MENDED", host: "n", cause: { event: "HOST_GONE" } },
  ]);
  expect(watch.fits).toBe(true);
});

it("a host that cannot be read mends nothing", () => {
  const watch = new FleetWatch(WINDOWS);
  watch.set(host({ profile: narrow }));
  watch.set(host({ profile: undefined, state: "unreadable" }));
  expect(watch.fits).toBe(false);
});
