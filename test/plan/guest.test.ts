import { describe, expect, it } from "vitest";
import { guestWindows } from "../../src/plan/guest.ts";
import { finish } from "../../src/ranges/steps.ts";

const EMPTY_VIEW = 'FlatView #0\n AS "memory", root: system\n Root memory region: system\n\n';

describe("the windows of a guest", () => {
  it("are the machine's, and then those beside it", () => {
    const layout = [{ name: "bar", start: 0n, last: 4095n, required: false }];
    const windows = finish(guestWindows({ machine: { type: "virt", memory: 1n << 30n }, layout }));
    expect(windows.map(({ name }) => name)).toEqual(["pci-hole", "ram", "pci-hole64", "bar"]);
  });

  it.each([
    [
      "QEMU would refuse the machine",
      { machine: { type: "pc", memory: 1n << 30n, slots: 1 } },
      "machine: QEMU",
    ],
    ["the mtree is none", { mtree: "memory" }, "mtree: "],
    ["there is no RAM in the mtree", { mtree: EMPTY_VIEW }, "mtree: no RAM in it"],
  ] as const)("are none when %s, and the member that says so is named", (_when, guest, message) => {
    expect(() => finish(guestWindows(guest))).toThrow(message);
    expect(() => finish(guestWindows(guest))).toThrow(RangeError);
  });
});
