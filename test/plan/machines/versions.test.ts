import { describe, expect, it } from "vitest";
import {
  fullName,
  isUpTo,
  readFullName,
  resolveVersion,
  type VersionedType,
  versionsOf,
} from "../../../src/plan/machines/versions.ts";

const TYPES: VersionedType[] = ["pc", "q35", "virt"];

describe("the versions of a machine type", () => {
  it("are those of QEMU's releases, by number and not by letter", () => {
    expect(versionsOf("pc").slice(0, 6)).toEqual(["1.4", "1.5", "1.6", "1.7", "2.0", "2.1"]);
    expect(versionsOf("q35").slice(0, 10)).toEqual([
      "2.4",
      "2.5",
      "2.6",
      "2.7",
      "2.8",
      "2.9",
      "2.10",
      "2.11",
      "2.12",
      "3.0",
    ]);
    expect(versionsOf("virt").slice(-4)).toEqual(["10.1", "10.2", "11.0", "11.1"]);
  });

  it("have 4.0.1 for q35 alone, between 4.0 and 4.1", () => {
    const q35 = versionsOf("q35");
    expect(q35.slice(q35.indexOf("4.0"), q35.indexOf("4.0") + 3)).toEqual(["4.0", "4.0.1", "4.1"]);
    expect(versionsOf("pc")).not.toContain("4.0.1");
  });

  it("are older or newer in the order of the list", () => {
    for (const type of TYPES) {
      const versions = versionsOf(type);
      for (const [n, version] of versions.entries()) {
        const upTo = versions.map((each) => isUpTo(version, { version: each }));
        expect(upTo).toEqual(versions.map((_, m) => m <= n));
      }
      expect(isUpTo("11.1", {})).toBe(false);
    }
  });
});

describe("a version", () => {
  it("is meant by its number and by QEMU's full name", () => {
    for (const type of TYPES) {
      for (const version of versionsOf(type)) {
        expect(resolveVersion(type, version)).toBe(version);
        expect(resolveVersion(type, fullName(type, version))).toBe(version);
        expect(readFullName(fullName(type, version))).toEqual({ type, version });
      }
    }
    expect(fullName("pc", "6.2")).toBe("pc-i440fx-6.2");
    expect(readFullName("q35")).toBeUndefined();
  });

  it.each<[VersionedType, string, string]>([
    ["q35", "6.3", "the nearest are 6.2 and 7.0"],
    ["q35", "pc-q35-6.9", "the nearest are 6.2 and 7.0"],
    ["pc", "4.0.1", "the nearest are 4.0 and 4.1"],
    ["q35", "2.3", "the oldest is 2.4"],
    ["virt", "0.1", "the oldest is 2.6"],
    ["virt", "11.2", "the newest known here is 11.1; leave the version out"],
    ["q35", "9999.9999", "the newest known here is 11.1"],
    ["q35", "pc-i440fx-6.2", "this is a pc, and the machine a q35: give the type pc"],
    ["pc", "virt-6.2", "this is a virt, and the machine a pc: give the type virt"],
    ["q35", "pc-q35-rhel9.2.0", 'expected a version as in "11.1" or "pc-q35-11.1"'],
    ["q35", "6", 'expected a version as in "11.1"'],
    ["q35", "", 'expected a version as in "11.1"'],
    ["q35", " 6.2", 'expected a version as in "11.1"'],
    ["q35", "v6.2", 'expected a version as in "11.1"'],
    ["q35", "6.2.0.1", 'expected a version as in "11.1"'],
  ])("that is none of %s, %j, is answered with what there is", (type, given, message) => {
    expect(() => resolveVersion(type, given)).toThrow(message);
  });
});
