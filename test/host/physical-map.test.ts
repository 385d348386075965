import { describe, expect, it } from "vitest";
import { PhysicalMap } from "../../src/host/platform/physical-map.ts";
import { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import { finish } from "../../src/ranges/steps.ts";

const BRIDGE = "/sys/bus/pci/devices/0000:00:1c.0";
const IOMEM = [
  "00000000-0009ffff : System RAM",
  "c0000000-febfffff : PCI Bus 0000:00",
  "  c0000000-c00fffff : PCI Bus 0000:01",
  "    c0000000-c0003fff : 0000:01:00.0",
  "  fd000000-fdffffff : Reserved",
  "",
].join("\n");
const RESOURCE = [
  "0x00000000c0000000 0x00000000c00fffff 0x0000000000200200",
  "0x0000000000001000 0x0000000000001fff 0x0000000000200100",
  "0x00000000fd000000 0x00000000fd000fff 0x0000000000040200",
  "0x0000000000000000 0x0000000000000000 0x0000000000000000",
].join("\n");

function mapOf(files: Readonly<Record<string, string>>): PhysicalMap {
  return finish(PhysicalMap.read(new SimulatedKernel(parseTopology({ files }))));
}

const hint = (files: Readonly<Record<string, string>>, start: bigint, last: bigint) =>
  mapOf(files).hintFor({ start, last });

describe("what lies at the addresses of a range", () => {
  it("is the innermost of what /proc/iomem shows there", () => {
    const files = { "/proc/iomem": IOMEM };
    expect(hint(files, 0xc0000000n, 0xc0000fffn)).toBe(
      'a hint, not a cause: /proc/iomem shows there "0000:01:00.0"',
    );
    expect(hint(files, 0xc0080000n, 0xfd000000n)).toContain('shows there "PCI Bus 0000:01", "Reserved"');
    expect(hint(files, 0xa0000n, 0xbfffffffn)).toBeUndefined();
    expect(hint(files, 0x9ffffn, 0x9ffffn)).toContain('"System RAM"');
  });

  it("is what bridges forward of memory, and no other resource", () => {
    const files = { [`${BRIDGE}/class`]: "0x060400\n", [`${BRIDGE}/resource`]: RESOURCE };
    expect(hint(files, 0xc0000000n, 0xc0000fffn)).toBe(
      "a hint, not a cause: PCI bridges forward [0xc0000000, 0xc00fffff] (0000:00:1c.0)",
    );
    expect(hint(files, 0x1000n, 0x1fffn)).toBeUndefined();
    expect(hint(files, 0xfd000000n, 0xfd000fffn)).toBeUndefined();
    expect(hint({ ...files, [`${BRIDGE}/class`]: "0x020000\n" }, 0xc0000000n, 0xc0000fffn)).toBeUndefined();
  });

  it("may be what one of firmware's tables for IOMMUs asks for", () => {
    const tables = "/sys/firmware/acpi/tables";
    const files = { [`${tables}/IVRS`]: "", [`${tables}/FACP`]: "" };
    expect(hint(files, 0n, 0n)).toBe("a hint, not a cause: the firmware's ACPI table IVRS may ask for it");
  });

  it("is nothing where the kernel shows nothing, zeros to who may not know, or what is no such file", () => {
    expect(hint({}, 0n, 0xffffn)).toBeUndefined();
    const zeros = IOMEM.replaceAll(/[0-9a-f]+-[0-9a-f]+/g, "00000000-00000000");
    expect(hint({ "/proc/iomem": zeros }, 0n, 0xffffffffn)).toBeUndefined();
    const junk = "0-zz : a\n5-1 : b\n00000000000000000-ffffffffffffffffff : c\n";
    expect(hint({ "/proc/iomem": junk }, 0n, 0xffffffffn)).toBeUndefined();
  });

  it("is told in few words, however much there is", () => {
    const line = (n: number) => `${n.toString(16)}0-${n.toString(16)}f : ${n} ${"x".repeat(999)}`;
    const files = { "/proc/iomem": Array.from({ length: 20_000 }, (_, n) => line(n)).join("\n") };
    const text = hint(files, 0n, 0xffffffffn);
    expect(text?.length).toBeLessThan(500);
    expect(text).toContain("and 16380 more");
  });
});
