import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fitsOf, type Want } from "../../../src/plan/fleet/fits.ts";
import { Pool, type PoolHost } from "../../../src/plan/fleet/pool.ts";
import type { ProfileDevice } from "../../../src/plan/fleet/profile.ts";
import type { Window } from "../../../src/plan/layout.ts";
import { runs } from "../../runs.ts";
import { excluding, fleet } from "./fleets.ts";

const RAM: Window[] = [{ name: "ram", start: 4n, last: 11n, required: true }];
const GPU: Want = { count: 1, vendor: "0x10de", device: "0x20b5" };

function host(changes: object = {}, device: object = {}): PoolHost {
  const gpu = {
    ...{ device: "0000:41:00.0", pci: { vendor: "0x10de", device: "0x20b5" } },
    ...{ assignable: true, available: true, exact: true, allowed: excluding(), ...device },
  };
  const profile = { digest: "a", allowed: excluding([0, 63]), alignment: 1n, exact: true, devices: [gpu] };
  return { host: "n", state: "fresh", age: 1, profile, ...changes } as PoolHost;
}

const verdict = (one: PoolHost, wants: Want[] = [GPU]) => fitsOf(new Pool([one]), RAM, wants)[0];

describe("a host takes a guest", () => {
  it("with the devices that are free and allow the layout, whatever its others forbid", () => {
    expect(verdict(host())).toEqual({ host: "n", fits: true, exact: true, devices: ["0000:41:00.0"] });
    expect(verdict(host({}, { exact: false }))).toMatchObject({ fits: true, exact: false });
  });

  it("without any device when all of its own allow the layout", () => {
    expect(verdict(host(), [])).toMatchObject({ fits: false, reason: "layout" });
  });

  it("or tells the one reason why not", () => {
    const reasonOf = (one: PoolHost, want = GPU) => verdict(one, [want])?.reason;
    expect(reasonOf(host({ state: "unreadable", profile: undefined }))).toBe("unreadable");
    expect(reasonOf(host(), { ...GPU, count: 2 })).toBe("no-device");
    expect(reasonOf(host(), { ...GPU, vendor: "0x8086" })).toBe("no-device");
    expect(reasonOf(host({}, { assignable: false, available: false }))).toBe("not-assignable");
    expect(reasonOf(host({}, { available: false }))).toBe("not-available");
    expect(reasonOf(host({ state: "stale", age: 300 }))).toBe("stale");
  });

  it("with wants that only together leave each its own", () => {
    const [gpu, nic] = ["0000:41:00.0", "0000:42:00.0"];
    const two = (devices: object[]) => {
      const one = host();
      const [first] = one.profile?.devices ?? [];
      const all = devices.map((device) => ({ ...first, ...device }));
      return { ...one, profile: { ...one.profile, devices: all } } as PoolHost;
    };
    const both = two([{ device: gpu }, { device: nic, pci: { vendor: "0x10de", device: "0x1592" } }]);
    const [anyOfIt, exactly] = [{ count: 1, vendor: "0x10de" }, GPU];
    for (const wants of [
      [anyOfIt, exactly],
      [exactly, anyOfIt],
      [{ count: 1 }, exactly],
    ])
      expect(verdict(both, wants)).toMatchObject({ fits: true, devices: [gpu, nic] });
    expect(verdict(both, [GPU, GPU])).toMatchObject({
      reason: "no-device",
      detail: "wanted 1 of 10de:20b5, and the others that are wanted leave 0 of its 1",
    });
    // Neither of the wants is the narrower one.
    const crossed = two([{ device: gpu }, { device: nic, pci: { vendor: "0x8086", device: "0x20b5" } }]);
    expect(verdict(crossed, [{ count: 1, device: "0x20b5" }, anyOfIt])).toMatchObject({ fits: true });
    const inexact = two([{ device: gpu, exact: false }, { device: nic }]);
    expect(verdict(inexact)).toMatchObject({ exact: true, devices: [nic] });
  });

  it("names what is in the way", () => {
    expect(verdict(host({}, { allowed: excluding([10, 40]) }))).toMatchObject({
      ...{ fits: false, reason: "layout", detail: expect.stringContaining("0000:41:00.0: ram") },
      conflicts: [{ start: 10n, last: 11n, causes: [{ kind: "host", host: "n" }] }],
    });
  });
});

/** Whether these can be dealt out so that each want has its count: tries everything. */
function canServe(devices: readonly ProfileDevice[], wants: readonly Want[]): boolean {
  const [want, ...rest] = wants.flatMap((each) => Array<Want>(each.count).fill({ ...each, count: 1 }));
  if (!want) return true;
  return devices.some((each) => {
    const isIt = (want.vendor ?? each.pci?.vendor) === each.pci?.vendor;
    const fits = isIt && (want.device ?? each.pci?.device) === each.pci?.device;
    return (
      fits &&
      canServe(
        devices.filter((other) => other !== each),
        rest,
      )
    );
  });
}

it("promises no more devices than there are, each once, each free and allowing everything", () => {
  const want = fc.record({
    count: fc.integer({ min: 1, max: 3 }),
    vendor: fc.constantFrom(undefined, "0x10de", "0x8086"),
    device: fc.constantFrom(undefined, "0x20b5"),
  });
  fc.assert(
    fc.property(fleet, fc.array(want, { minLength: 1, maxLength: 2 }), (hosts, wants) => {
      const fits = fitsOf(new Pool(hosts), RAM, wants);
      expect(fits.map((each) => each.host)).toEqual(hosts.map((each) => each.host));
      const total = wants.reduce((sum, { count }) => sum + count, 0);
      for (const [i, each] of fits.entries()) {
        expect(each.fits).toBe(each.reason === undefined);
        const serving = hosts[i]?.profile?.devices.filter(({ available, assignable, allowed }) => {
          return available && assignable && allowed.covers({ start: 4n, last: 11n });
        });
        const { alignment = null } = hosts[i]?.profile ?? {};
        const isAligned = alignment === null || alignment <= 4n;
        const could = isAligned && serving !== undefined && canServe(serving, wants);
        expect(each.fits).toBe(could && hosts[i]?.state === "fresh");
        if (!each.fits) continue;
        expect(hosts[i]?.state).toBe("fresh");
        expect(new Set(each.devices).size).toBe(total);
        const chosen = hosts[i]?.profile?.devices.filter(({ device }) => each.devices.includes(device)) ?? [];
        for (const { available, assignable, allowed } of chosen) {
          expect(available && assignable && allowed.covers({ start: 4n, last: 11n })).toBe(true);
        }
        expect(each.exact).toBe(chosen.every(({ exact }) => exact));
      }
    }),
    { numRuns: runs(150, 3_000) },
  );
});
