import { ifPossible, type Kernel } from "../../kernel/kernel.ts";
import { formatRange, type Range } from "../../ranges/range.ts";
import { mapInSteps, type Steps } from "../../ranges/steps.ts";

/** What lies at physical addresses, by whoever shows it. */
interface Landmark extends Range {
  /** As a message has it. */
  readonly name: string;
}

/** How much is read and told: this is a hint, and has to be cheap on any host. */
const MAX_LINES = 16_384;
const MAX_DEVICES = 4_096;
const MAX_NAMES = 4;
const MAX_NAME = 64;

/** Those in which firmware tells IOMMU drivers of addresses that they are to reserve. */
const TABLES: ReadonlySet<string> = new Set(["DMAR", "IVRS", "IORT", "VIOT"]);

const PCI_DEVICES = "/sys/bus/pci/devices";
const PCI_BRIDGE = /^0x0604/;
/** `include/linux/ioport.h: IORESOURCE_MEM`, and `IORESOURCE_WINDOW` of what a bridge forwards. */
const MEMORY_WINDOW = 0x0020_0200n;

const IOMEM_LINE = /^( *)([0-9a-f]{1,16})-([0-9a-f]{1,16}) : (.*)$/;
const RESOURCE_LINE = /^(0x[0-9a-f]{1,16}) (0x[0-9a-f]{1,16}) (0x[0-9a-f]{1,16})$/;

/**
 * What the kernel shows at the addresses of a range, to guess by why it excludes them. IO virtual addresses are excluded
 * for what lies at the same physical ones, as a rule; that something lies there proves nothing.
 */
export class PhysicalMap {
  /** Of /proc/iomem, with what lies within each behind it. */
  readonly #resources: readonly (Landmark & { readonly depth: number })[];
  readonly #windows: readonly Landmark[];
  readonly #tables: readonly string[];

  private constructor(
    resources: readonly (Landmark & { readonly depth: number })[],
    windows: readonly Landmark[],
    tables: readonly string[],
  ) {
    this.#resources = resources;
    this.#windows = windows;
    this.#tables = tables;
  }

  static *read(kernel: Kernel): Steps<PhysicalMap> {
    const iomem = ifPossible(() => kernel.readFile("/proc/iomem")) ?? "";
    yield;
    const resources = yield* mapInSteps(iomem.split("\n", MAX_LINES), parseResource);
    const windows: Landmark[] = [];
    const devices = ifPossible(() => kernel.readDirectory(PCI_DEVICES)) ?? [];
    for (const device of devices.slice(0, MAX_DEVICES).sort()) {
      windows.push(...windowsOf(kernel, device));
      yield;
    }
    const tables = ifPossible(() => kernel.readDirectory("/sys/firmware/acpi/tables")) ?? [];
    return new PhysicalMap(resources.flat(), windows, tables.filter((name) => TABLES.has(name)).sort());
  }

  /** What lies there, in a sentence that says that it is a hint; undefined when nothing is shown. */
  hintFor(range: Range): string | undefined {
    const lies = ({ start, last }: Range) => start <= range.last && range.start <= last;
    const all = this.#resources.filter(lies);
    // The innermost say most: what holds another one of these is told by that.
    const innermost = all.filter(({ depth }, i) => (all[i + 1]?.depth ?? 0) <= depth);
    const signs = [
      ...told("/proc/iomem shows there", innermost),
      ...told("PCI bridges forward", this.#windows.filter(lies)),
    ];
    if (this.#tables.length > 0) {
      signs.push(`the firmware's ACPI table ${this.#tables.join(" or ")} may ask for it`);
    }
    return signs.length > 0 ? `a hint, not a cause: ${signs.join("; ")}` : undefined;
  }
}

function told(who: string, landmarks: readonly Landmark[]): string[] {
  if (landmarks.length === 0) return [];
  const names = [...new Set(landmarks.map(({ name }) => name))];
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : "";
  return [`${who} ${names.slice(0, MAX_NAMES).join(", ")}${more}`];
}

/**
 * A line of /proc/iomem (`kernel/resource.c: r_show`), two blanks a level. Who may not know the addresses is shown
 * zeros, and is told nothing by them.
 */
function parseResource(line: string): (Landmark & { depth: number })[] {
  const [, indent = "", first, end, name = ""] = IOMEM_LINE.exec(line) ?? [];
  const start = BigInt(`0x${first ?? 0}`);
  const last = BigInt(`0x${end ?? 0}`);
  if (last === 0n || start > last) return [];
  return [{ start, last, name: JSON.stringify(name.slice(0, MAX_NAME)), depth: indent.length }];
}

/** The memory that a bridge forwards (`drivers/pci/pci-sysfs.c: resource_show`); nothing for another device. */
function windowsOf(kernel: Kernel, device: string): Landmark[] {
  const path = `${PCI_DEVICES}/${device}`;
  const kind = ifPossible(() => kernel.readFile(`${path}/class`)) ?? "";
  if (!PCI_BRIDGE.test(kind)) return [];
  const text = ifPossible(() => kernel.readFile(`${path}/resource`)) ?? "";
  return text.split("\n").flatMap((line) => {
    const [start = 0n, last = 0n, flags = 0n] = (RESOURCE_LINE.exec(line)?.slice(1) ?? []).map(BigInt);
    if ((flags & MEMORY_WINDOW) !== MEMORY_WINDOW || start > last) return [];
    return [{ start, last, name: `${formatRange({ start, last })} (${device})` }];
  });
}
