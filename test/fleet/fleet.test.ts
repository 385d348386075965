import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ageOf, Fleet } from "../../src/fleet/fleet.ts";
import { ProfileReader } from "../../src/fleet/wire-profile.ts";
import { checkPool } from "../../src/plan/fleet/check.ts";
import { Pool } from "../../src/plan/fleet/pool.ts";
import { digested, NOW, profile, record } from "./hosts.ts";

const HOUR = 3_600_000;
const at = (time: number) => new Date(time).toISOString();

/** A fleet of one host, whose value is this text. */
function told(text: string, stored = NOW): Fleet {
  const fleet = new Fleet();
  fleet.apply({ kind: "begin", now: NOW }, NOW);
  fleet.apply({ kind: "host", host: "n1", text, stored }, NOW);
  fleet.addProfile(profile().digest, JSON.stringify(profile()));
  fleet.apply({ kind: "settled" }, NOW);
  return fleet;
}

const text = (changes: object = {}) => JSON.stringify({ ...record("n1"), heartbeat: at(NOW), ...changes });

describe("a host's word", () => {
  it("holds for three intervals", () => {
    const state = (age: number) =>
      told(text({ heartbeat: at(NOW - age), interval: 10 })).host("n1", NOW)?.state;
    expect([state(0), state(30_000), state(30_001)]).toEqual(["fresh", "fresh", "stale"]);
  });

  it("with a clock an hour ahead holds for as long as the store has heard of it, and the clock is named", () => {
    const ahead = text({ heartbeat: at(NOW + HOUR) });
    expect(told(ahead).host("n1", NOW)).toMatchObject({
      ...{ state: "fresh", trouble: expect.stringMatching(/clock is 3600 s ahead of the store's/) },
    });
    expect(told(ahead, NOW - 100_000).host("n1", NOW)?.state).toBe("stale");
  });

  it("with a clock an hour behind does not hold, and the clock is named", () => {
    expect(told(text({ heartbeat: at(NOW - HOUR) })).host("n1", NOW)).toMatchObject({
      ...{ state: "stale", trouble: expect.stringMatching(/clock is 3600 s behind the store's/) },
    });
  });

  it("of a file from the future by every clock does not hold, for nobody knows how old it is", () => {
    const file = told(text({ heartbeat: at(NOW + HOUR) }), NOW + HOUR);
    expect(file.host("n1", NOW)).toMatchObject({
      state: "stale",
      age: null,
      trouble: expect.stringContaining("clock"),
    });
  });

  it("is never fresh when it is older than three intervals, whatever its clock says", () => {
    const skew = fc.integer({ min: -2 * HOUR, max: 2 * HOUR });
    fc.assert(
      fc.property(skew, fc.integer({ min: 0, max: 2 * HOUR }), (skew, age) => {
        const written = NOW - age;
        const { state } = ageOf({ heartbeat: written + skew, interval: 30, contested: false }, written, NOW);
        if (age > 90_000) expect(state).toBe("stale");
        else if (skew >= 0) expect(state).toBe("fresh");
      }),
    );
  });

  it("is aged by the store's clock when this machine's is wrong, and that is said", () => {
    for (const wrong of [HOUR, -HOUR]) {
      const fleet = new Fleet();
      fleet.apply({ kind: "begin", now: NOW }, NOW + wrong);
      fleet.apply({ kind: "host", host: "n1", text: text(), stored: NOW }, NOW + wrong);
      fleet.addProfile(profile().digest, JSON.stringify(profile()));
      expect(fleet.host("n1", NOW + wrong + 1000)).toMatchObject({ state: "fresh", age: 1 });
      expect(fleet.troubles(NOW + wrong).join()).toContain("the clock of this machine is 3600 s");
    }
  });
});

describe("a value that this version cannot read", () => {
  const cases: [string, string, RegExp][] = [
    ["half a file", text().slice(0, 60), /no JSON, or only a part/],
    ["an empty file", "", /empty/],
    ["another kind of JSON", "[1]", /no JSON object/],
    ["a newer version", text({ version: 2 }), /version 2.*update/],
    ["no digest", text({ digest: 7 }), /digest/],
    ["another host's name", text({ host: "n2" }), /of host "n2"/],
    [
      "a faulty list",
      JSON.stringify({ ...record("n1"), ...profile(), allowed: [{ start: "0x9", last: "0x1" }] }),
      /starts above/,
    ],
    ["a list of nonsense", JSON.stringify({ ...record("n1"), ...profile(), allowed: [7] }), /no address/],
    [
      "a list in more pieces than any kernel's",
      JSON.stringify({
        ...record("n1"),
        ...profile(),
        allowed: Array(1025).fill({ start: "0x0", last: "0x1" }),
      }),
      /in 1025 ranges/,
    ],
    ["a newer profile", JSON.stringify({ ...record("n1"), ...profile(), "schema-version": 2 }), /version 2/],
    ["a device without a list", JSON.stringify({ ...record("n1"), ...profile(), lists: [] }), /devices\[0\]/],
  ];
  it.each(cases)("%s: the host is named, and nothing said of it", (_, value, why) => {
    const fleet = told(value);
    expect(fleet.host("n1", NOW)).toMatchObject({ state: "unreadable", trouble: expect.stringMatching(why) });
    expect(fleet.troubles(NOW).join()).toMatch(/^n1 cannot be read/);
    const windows = [{ name: "ram", start: 0n, last: 1n, required: true }];
    const answer = checkPool(new Pool(fleet.hosts(NOW)), { windows });
    expect(answer).toMatchObject({ exact: false, unreadable: ["n1"], hint: expect.stringContaining("n1") });
  });

  it("a profile that is not in the store, or another than it says", () => {
    const { digest } = profile("d2");
    const fleet = told(text({ digest }));
    const trouble = () => fleet.host("n1", NOW)?.trouble;
    expect(fleet.missing("n1")).toBe(digest);
    fleet.addProfile(digest, undefined);
    expect(fleet.host("n1", NOW)?.state).toBe("unreadable");
    expect(trouble()).toContain("not in the store");
    expect(fleet.missing("n1")).toBe(digest);
    fleet.addProfile(digest, JSON.stringify(profile("d3")));
    expect(trouble()).toContain("another digest");
    fleet.addProfile(digest, JSON.stringify({ ...profile("d3"), digest }));
    expect(trouble()).toContain("its digest is not that of what it says");
    fleet.addProfile(digest, JSON.stringify(profile("d2")));
    expect(fleet.host("n1", NOW)?.state).toBe("fresh");
  });

  it("one of which anything at all was changed", () => {
    const { digest, ...summary } = profile();
    const change = fc.oneof(
      fc.constantFrom("allowed", "lists").map((name) => ({ [name]: [{ start: "0x0", last: "0xffff" }] })),
      fc.constant({ exact: false }),
      fc.constant({ "iova-alignment": null }),
      fc.constant({ devices: [] }),
      fc.string({ minLength: 8 }).map((name) => ({ [name]: true })),
    );
    fc.assert(
      fc.property(change, (changes) => {
        const whole = { ...summary, ...changes, digest };
        const fleet = told(text());
        fleet.addProfile(digest, JSON.stringify(whole));
        const isLater = Object.keys(whole).length > Object.keys(profile()).length;
        // Of a member that this version does not know nobody can tell what it is of: a file's record may have it.
        expect(fleet.host("n1", NOW)?.state).toBe(isLater ? "fresh" : "unreadable");
      }),
    );
  });

  it("what a later version adds is left out, whether to the record or to the profile", () => {
    const host = (value: object) => told(JSON.stringify(value)).host("n1", NOW)?.state;
    expect(host({ ...record("n1"), heartbeat: at(NOW), ...profile(), zone: "a" })).toBe("fresh");
    const { digest: _, ...summary } = profile();
    const later = digested({ ...summary, bus: ["pcie"] } as never);
    expect(host({ ...record("n1"), heartbeat: at(NOW), ...later })).toBe("fresh");
    const long = { "schema-version": 1, kernel: { release: "6.12" }, excluded: [] };
    expect(host({ ...record("n1"), heartbeat: at(NOW), ...profile(), ...long })).toBe("fresh");
  });

  it("anything at all leaves the others as they are", () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (garbage) => {
        const fleet = told(text());
        fleet.apply({ kind: "host", host: "n2", text: garbage, stored: NOW }, NOW);
        fleet.addProfile("x", garbage);
        expect(fleet.host("n1", NOW)?.state).toBe("fresh");
        expect(fleet.host("n2", NOW)?.state).toBe("unreadable");
      }),
    );
  });
});

it("hosts that were not told again when the thread was taken up are gone", () => {
  const fleet = told(text());
  fleet.apply({ kind: "begin", now: NOW }, NOW);
  fleet.apply({ kind: "host", host: "n2", text: text({ host: "n2" }), stored: NOW }, NOW);
  expect(fleet.names).toEqual(["n1", "n2"]);
  fleet.apply({ kind: "settled" }, NOW);
  expect(fleet.names).toEqual(["n2"]);
});

it("profiles that hosts no longer have are forgotten, also while the thread holds", () => {
  const fleet = told(text());
  for (let n = 0; n < 300; n++) {
    const { digest } = profile(`d${n}`);
    fleet.apply({ kind: "host", host: "n1", text: text({ digest }), stored: NOW }, NOW);
    fleet.addProfile(digest, JSON.stringify(profile(`d${n}`)));
    expect(fleet.host("n1", NOW)?.profile?.digest).toBe(digest);
  }
  expect(fleet.profiles).toBeLessThan(100);
});

it("what profiles have in common is remembered only as far as it is little", () => {
  const reader = new ProfileReader();
  const idsOf = (vendor: string) => {
    const { digest: _, devices, ...others } = profile() as { digest: string; devices: object[] };
    const own = { ...others, devices: devices.map((each) => ({ ...each, pci: { vendor, device: "0x1" } })) };
    return reader.read(JSON.parse(JSON.stringify(digested(own)))).devices[0]?.pci;
  };
  const ids = idsOf("0x10de");
  expect(idsOf("0x10de")).toBe(ids);
  for (let n = 0; n < 8; n++) idsOf(`${n}${"x".repeat(300_000)}`);
  expect(idsOf("0x10de")).toEqual(ids);
  expect(idsOf("0x10de")).not.toBe(ids);
});
