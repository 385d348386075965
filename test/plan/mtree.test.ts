import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseMtree } from "../../src/plan/mtree.ts";
import { formatRange } from "../../src/ranges/range.ts";

const PAGE = 4096n;
// `qemu-system-x86_64 -S -nodefaults -M q35 -m 8G`, QEMU 7.2.22, monitor command `info mtree -f`.
const Q35 = readFileSync(new URL("./q35-8g.mtree.txt", import.meta.url), "utf8");

function shown(text: string, pageSize = PAGE): string[] {
  return parseMtree(text, pageSize).map(
    (window) => `${window.name} ${formatRange(window)}${window.required ? "" : " optional"}`,
  );
}

describe("the flat view of a running QEMU", () => {
  it("gives the RAM and ROM that VFIO maps", () => {
    expect(shown(Q35)).toEqual([
      "pc.ram [0x0, 0xbffff]",
      "pc.rom [0xc0000, 0xdffff]",
      "pc.bios @0000000000020000 [0xe0000, 0xfffff]",
      "pc.ram @0000000000100000 [0x100000, 0x7fffffff]",
      "pc.bios [0xfffc0000, 0xffffffff]",
      "pc.ram @0000000080000000 [0x100000000, 0x27fffffff]",
    ]);
  });

  it("is the same with the line ends that a terminal gives it", () => {
    expect(shown(Q35.replaceAll("\n", "\r\n"))).toEqual(shown(Q35));
  });

  it("counts only where it shows the address space memory", () => {
    const text = Q35.replace('AS "memory", root: system', 'AS "other", root: system');
    expect(shown(text)).toEqual([]);
  });

  it("may be given as bare lines", () => {
    expect(shown("  0000000040000000-00000000bfffffff (prio 0, ram): mach-virt.ram KVM\n")).toEqual([
      "mach-virt.ram [0x40000000, 0xbfffffff]",
    ]);
  });

  it("has BARs that a guest can do without, and non-volatile memory that it cannot", () => {
    const lines = `
  00000000fd000000-00000000fdffffff (prio 1, ramd): 0000:41:00.0 BAR 0 mmaps[0] KVM
  0000000180000000-00000001bfffffff (prio 0, nv-ram): nvdimm KVM
  00000000fc000000-00000000fc000fff (prio 0, romd): system.flash0
  00000000fee00000-00000000fee00fff (prio 4096, i/o): kvm-apic-msi`;
    expect(shown(lines)).toEqual([
      "0000:41:00.0 BAR 0 mmaps[0] [0xfd000000, 0xfdffffff] optional",
      "nvdimm [0x180000000, 0x1bfffffff]",
    ]);
  });

  it("is cut to whole pages of the host, as VFIO cuts it", () => {
    const lines = `
  0000000000000800-00000000000027ff (prio 0, ram): odd
  0000000000003000-00000000000037ff (prio 0, ram): tiny`;
    expect(shown(lines)).toEqual(["odd [0x1000, 0x1fff]"]);
    expect(shown(lines, 1n)).toEqual(["odd [0x800, 0x27ff]", "tiny [0x3000, 0x37ff]"]);
  });

  it("leaves out what a BAR shows while it is being sized", () => {
    expect(shown("  fffffffffe000000-fffffffffeffffff (prio 1, ramd): BAR 0")).toEqual([]);
  });

  it("is read in a time that grows with its length only", () => {
    const line = `0000000000000000-0000000000000fff (prio 0, ram): x${" ".repeat(500_000)}y`;
    expect(shown(line)).toHaveLength(1);
  });
});
