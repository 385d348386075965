import { describe, expect, it } from "vitest";
import { adviceOn, type Gap } from "../../src/plan/gaps.ts";
import { finish } from "../../src/ranges/steps.ts";

const hintFor = (gaps: readonly Gap[]) => finish(adviceOn(gaps)).hint;
const ready = (...devices: string[]) => devices.map((device) => ({ device, state: "ready" as const }));

describe("a hint", () => {
  it("is there only for a gap", () => {
    expect(hintFor([])).toBeUndefined();
  });

  it("says which devices to probe", () => {
    expect(hintFor(ready("0000:41:00.0"))).toBe("probe 0000:41:00.0 to learn its aperture (probe-device)");
    expect(hintFor(ready("b", "a", "b"))).toBe("probe a and b to learn their apertures (probe-device)");
    expect(hintFor(ready("a", "b", "c", "d", "e"))).toContain("probe a, b, c, d and e to learn");
    expect(hintFor(ready("a", "b", "c", "d", "e", "f"))).toContain("probe a, b, c, d and 2 more to learn");
  });

  it("says what must come before a probe, and what no probe can tell", () => {
    expect(hintFor([{ device: "a", state: "unbound" }])).toBe(
      "bind a to vfio-pci and probe it to learn its aperture",
    );
    expect(hintFor([...ready("a"), { device: "b", state: "blocked" }])).toBe(
      "probe a to learn its aperture (probe-device); leave out b, which no guest can have (query-devices tells why)",
    );
  });

  it("passes on what another host advises, and sends for what it does not say", () => {
    expect(hintFor([{ host: "x", hint: "probe y" }, { host: "z" }])).toBe(
      "on host x: probe y; take the list of host z from its query-host-profile, with a word on exactness",
    );
  });

  it("repeats 200 characters of another host's advice, and no more", () => {
    const echoOf = (length: number) => hintFor([{ host: "x", hint: "y".repeat(length) }]);
    expect(echoOf(200)).toBe(`on host x: ${"y".repeat(200)}`);
    expect(echoOf(201)).toBe(`on host x: ${"y".repeat(200)}…`);
  });

  it("stays short, however many devices and hosts there are", () => {
    const devices = Array.from({ length: 1000 }, (_, n) => `0000:00:${n}.0`);
    const hosts = devices.map((host) => ({ host, hint: "x".repeat(10_000) }));
    expect(hintFor([...ready(...devices), ...hosts])?.length).toBeLessThan(1200);
  });
});
