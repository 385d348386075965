import { describe, expect, it } from "vitest";
import type { CloudHypervisorMachine } from "../../../src/plan/machines/cloud-hypervisor.ts";
import { comparedWith, machineWindows } from "../../../src/plan/machines.ts";
import { formatRange } from "../../../src/ranges/range.ts";

const MiB = 1n << 20n;
const GiB = 1n << 30n;

function shown(machine: Omit<CloudHypervisorMachine, "type">): string[] {
  return machineWindows({ type: "cloud-hypervisor", ...machine }).map(
    (window) => `${window.name} ${formatRange(window)}${window.required ? "" : " optional"}`,
  );
}

describe("a guest of Cloud Hypervisor's", () => {
  it("has 3 GiB of RAM below 4 GiB on x86-64, and the rest from there", () => {
    expect(shown({ arch: "x86-64", memory: 8n * GiB, physBits: 46 })).toEqual([
      "ram-below-4g [0x0, 0xbfffffff]",
      "pci-hole [0xc0000000, 0xe7ffffff] optional",
      "ram-above-4g [0x100000000, 0x23fffffff]",
      "pci-hole64 [0x240000000, 0x3fffffeeffff] optional",
    ]);
  });

  it("has its RAM from 1 GiB on aarch64, with a gap right below 4 GiB", () => {
    expect(shown({ arch: "aarch64", memory: 4n * GiB, physBits: 40 })).toEqual([
      "ram-below-4g [0x40000000, 0xfbffffff]",
      "pci-hole [0x10000000, 0x2fffffff] optional",
      "ram-above-4g [0x100000000, 0x143ffffff]",
      "pci-hole64 [0x144000000, 0xffffeeffff] optional",
    ]);
  });

  it("has its devices from 4 GiB when all RAM is below, and anywhere above when nobody says how long addresses are", () => {
    expect(shown({ arch: "x86-64", memory: 3n * GiB, physBits: 40 })).toContain(
      "pci-hole64 [0x100000000, 0xffffeeffff] optional",
    );
    expect(shown({ arch: "x86-64", memory: GiB })).toEqual([
      "ram-below-4g [0x0, 0x3fffffff]",
      "pci-hole [0xc0000000, 0xe7ffffff] optional",
    ]);
  });

  it("has room for more memory above the RAM, at 128 MiB, or at 4 GiB when there is no RAM", () => {
    const hotplugSize = 2n * GiB;
    expect(shown({ arch: "x86-64", memory: 4n * GiB + MiB, hotplugSize })).toContain(
      "device-memory [0x148000000, 0x1c7ffffff]",
    );
    expect(shown({ arch: "aarch64", memory: GiB, hotplugSize })).toContain(
      "device-memory [0x100000000, 0x17fffffff]",
    );
  });

  it("has its devices above what may be plugged", () => {
    expect(shown({ arch: "x86-64", memory: 4n * GiB, hotplugSize: 2n * GiB, physBits: 40 }).slice(3)).toEqual(
      ["device-memory [0x140000000, 0x1bfffffff]", "pci-hole64 [0x1c0000000, 0xffffeeffff] optional"],
    );
  });

  it("does not keep clear of AMD's HyperTransport hole", () => {
    expect(shown({ arch: "x86-64", memory: 1536n * GiB })).toContain(
      "ram-above-4g [0x100000000, 0x1803fffffff]",
    );
  });

  it("is refused with parts of a page, and without room for devices", () => {
    expect(() => shown({ arch: "x86-64", memory: GiB + 1n })).toThrow("not a multiple of 4096 bytes");
    const tooMuch = 63n * GiB - MiB - (64n << 10n);
    expect(() => shown({ arch: "x86-64", memory: tooMuch, physBits: 36 })).toThrow(
      "36 phys-bits leave nothing above memory for devices",
    );
    expect(shown({ arch: "x86-64", memory: tooMuch - 4096n, physBits: 36 })).toContain(
      "pci-hole64 [0xfffeef000, 0xfffeeffff] optional",
    );
  });

  it("is not said to have been compared with anything", () => {
    expect(comparedWith("cloud-hypervisor")).toEqual([]);
    expect(comparedWith("microvm")).toEqual(comparedWith("q35"));
    expect(comparedWith("q35")).not.toEqual([]);
  });
});
