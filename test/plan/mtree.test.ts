import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseMtree } from "../../src/plan/mtree.ts";
import { formatRange } from "../../src/ranges/range.ts";
import { finish } from "../../src/ranges/steps.ts";

const PAGE = 4096n;
// `qemu-system-x86_64 -S -nodefaults -M q35 -m 8G`, QEMU 7.2.22, monitor command `info mtree -f`.
const Q35 = readFileSync(new URL("./q35-8g.mtree.txt", import.meta.url), "utf8");

/** Lines of the view that counts. */
function view(lines: string): string {
  return `FlatView #0\n AS "memory", root: system\n Root memory region: system\n${lines}\n`;
}

function shown(text: string, pageSize = PAGE): string[] {
  return finish(parseMtree(text, pageSize)).map(
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
    expect(() => shown(text)).toThrow('none of its FlatViews shows the address space "memory"');
    expect(shown(text + view("  0000000000000000-0000000000000fff (prio 0, ram): x"))).toEqual([
      "x [0x0, 0xfff]",
    ]);
  });

  it("is the same when it alone was cut out of the text", () => {
    const others =
      'FlatView #7\n AS "I/O", root: io\n  0000000000000000-00000000000fffff (prio 0, ram): x\n\n';
    const paragraphs = `${others}${Q35}${others}`.split("\n\n");
    const alone = paragraphs.filter((each) => each.includes(' AS "memory", root'));
    expect(alone).toHaveLength(1);
    expect(shown(`${alone}`)).toEqual(shown(`${others}${Q35}${others}`));
  });

  // `info mtree -f -o` of QEMU 10.0; under KVM there is a word for each address space at the end of a line.
  it("has names without their owners, and without what has the memory", () => {
    const lines = `
  0000000000000000-00000000000bffff (prio 0, ram): pc.ram owner:{obj path=/objects/pc.ram}
  00000000000c0000-00000000000dffff (prio 1, rom): pc.rom parent:{obj path=/machine/unattached} KVM
  0000000100000000-000000017fffffff (prio 0, ram): pc.ram @0000000080000000 owner:{obj path=/objects/pc.ram} KVM KVM
  0000000180000000-00000001bfffffff (prio 0, ram): a owner:{obj type=x} parent:{dev path=/machine/device[2]} KVM
  00000001c0000000-00000001ffffffff (prio 0, ram): dimm owner:{dev id=dimm0}
  0000000200000000-000000023fffffff (prio 0, ram): lonely orphan
  0000000240000000-000000027fffffff (prio 0, ram): plain KVM`;
    expect(shown(view(lines)).map((line) => line.replace(/ \[.*/, ""))).toEqual([
      "pc.ram",
      "pc.rom",
      "pc.ram @0000000080000000",
      "a",
      "dimm",
      "lonely",
      "plain",
    ]);
  });

  it("is refused where there is none, as in `info mtree` without -f, with the command to use", () => {
    const tree = `address-space: memory
  0000000000000000-ffffffffffffffff (prio 0, i/o): system
    0000000000000000-000000007fffffff (prio 0, ram): alias ram-below-4g @pc.ram 0000000000000000-000000007fffffff
memory-region: pc.ram
  0000000000000000-00000001ffffffff (prio 0, ram): pc.ram`;
    for (const text of [tree, "hello", "", "  0000000000000000-0000000000000fff (prio 0, ram): x"]) {
      expect(() => shown(text)).toThrow(
        'no FlatView in it; give what QEMU\'s monitor prints for "info mtree -f"',
      );
    }
  });

  it("has BARs that a guest can do without, and non-volatile memory that it cannot", () => {
    const lines = `
  00000000fd000000-00000000fdffffff (prio 1, ramd): 0000:41:00.0 BAR 0 mmaps[0] KVM
  0000000180000000-00000001bfffffff (prio 0, nv-ram): nvdimm KVM
  00000000fc000000-00000000fc000fff (prio 0, romd): system.flash0
  00000000fee00000-00000000fee00fff (prio 4096, i/o): kvm-apic-msi`;
    expect(shown(view(lines))).toEqual([
      "0000:41:00.0 BAR 0 mmaps[0] [0xfd000000, 0xfdffffff] optional",
      "nvdimm [0x180000000, 0x1bfffffff]",
    ]);
  });

  it("is cut to whole pages of the host, as VFIO cuts it", () => {
    const lines = `
  0000000000000800-00000000000027ff (prio 0, ram): odd
  0000000000003000-00000000000037ff (prio 0, ram): tiny`;
    expect(shown(view(lines))).toEqual(["odd [0x1000, 0x1fff]"]);
    expect(shown(view(lines), 1n)).toEqual(["odd [0x800, 0x27ff]", "tiny [0x3000, 0x37ff]"]);
  });

  it("leaves out what a BAR shows while it is being sized", () => {
    expect(shown(view("  fffffffffe000000-fffffffffeffffff (prio 1, ramd): BAR 0"))).toEqual([]);
  });

  it("is read in a time that grows with its length only", () => {
    for (const word of [" ", " KVM", " owner:{dev ", " orphan"]) {
      const line = `0000000000000000-0000000000000fff (prio 0, ram): x${word.repeat(500_000 / word.length)}y`;
      expect(shown(view(line))).toHaveLength(1);
    }
  });
});
