import * as z from "zod";
import { lazily } from "../../lazily.ts";
import { U64_MAX } from "../../ranges/address.ts";
import type { Topology, TopologyPci } from "./topology.ts";

/** A topology file is wrong: `message` names the first place and what is wrong there, `problems` all of them. */
export class TopologyError extends Error {
  override readonly name = "TopologyError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems[0]);
    this.problems = problems;
  }
}

/**
 * Reads a topology file's JSON (README.md, Topology files). Left out, a member means the ordinary host: everything
 * supported, the whole address space translated in 4 KiB pages, no driver, no regions, no latency, and for a
 * device behind an IOMMU the lowest group number that the file leaves free. Throws TopologyError.
 */
export function parseTopology(value: unknown): Topology {
  // It is parsed once: to compile what parses it takes longer.
  const parsed = file().safeParse(value, { jitless: true });
  if (!parsed.success) throw new TopologyError(parsed.error.issues.map(problem));
  const { kernel, iommus, devices, files } = parsed.data;
  const groups = freeGroups(devices.map(({ group }) => group));
  return {
    files: new Map(Object.entries(files)),
    kernel: {
      release: kernel.release,
      pageSize: kernel["page-size"],
      iommufd: kernel.iommufd,
      vfioCdev: kernel["vfio-cdev"],
      resvIovaRanges: kernel["resv-iova-ranges"],
      iommufdTest: kernel["iommufd-test"],
    },
    iommus: iommus.map(({ name, aperture, "page-size": pageSize, "late-aperture": lateAperture }) => ({
      name,
      aperture,
      pageSize,
      lateAperture,
    })),
    devices: devices.map(({ device, iommu, group, driver, regions, coherent, ...rest }) => ({
      ...{ device, iommu, driver, regions, coherent },
      group: iommu === null ? null : (group ?? groups.next().value),
      isTruncated: rest["regions-truncated"],
      isolatedMsi: rest["isolated-msi"],
      latency: rest["latency-ms"],
      pci: rest.pci && pciIds(rest.pci),
      numaNode: rest["numa-node"],
    })),
  };
}

/** A larger JSON number has lost bits already. */
const NO_ADDRESS = 'must be an address such as "0xfee00000", or a number up to 2^53-1';

const address = lazily(() =>
  z
    .union([z.string().regex(/^0x[0-9a-f]+$/i, NO_ADDRESS), z.int(NO_ADDRESS).min(0, NO_ADDRESS)], NO_ADDRESS)
    .transform(BigInt)
    .refine((value) => value <= U64_MAX, "must fit in 64 bits"),
);

const ascending = (range: { start: bigint; last: bigint }, context: z.RefinementCtx) => {
  if (range.start <= range.last) return;
  const message = `0x${range.last.toString(16)} is below start 0x${range.start.toString(16)}`;
  context.addIssue({ code: "custom", path: ["last"], message });
};

/** A name that can be a directory in sysfs. */
const name = lazily(() =>
  z
    .string()
    .max(255)
    .regex(/^[\w:.@+,-]+$/, "must be a name as sysfs has them")
    .refine((text) => !/^\.+$/.test(text), "must be a name as sysfs has them"),
);

/** As the wire names devices (rpc/inputs.ts: deviceName): of one with another name nobody could ask. */
const deviceName = lazily(() =>
  z
    .string()
    .regex(
      /^(?!\.{1,2}$)[A-Za-z0-9_.:@-]{1,64}$/,
      "must be a name of at most 64 letters, digits and any of _.:@-",
    ),
);

const region = lazily(() =>
  z
    .strictObject({
      start: address(),
      last: address(),
      type: z
        .string()
        .max(64)
        .regex(/^[^\s]+$/, "must be one word"),
    })
    .superRefine(ascending),
);

/** How well a captured file's writer knew something. */
const forPeople = lazily(() => z.string().optional());

const iommu = lazily(() =>
  z.strictObject({
    name: name(),
    aperture: z
      .strictObject({ start: address(), last: address() })
      .superRefine(ascending)
      .default({ start: 0n, last: U64_MAX }),
    "page-size": z
      .int()
      .min(1)
      .max(2 ** 30)
      .refine((size) => (size & (size - 1)) === 0, "must be a power of two")
      .default(4096),
    "late-aperture": z.boolean().default(false),
    "aperture-source": forPeople(),
  }),
);

const milliseconds = lazily(() => z.int().min(0).max(3_600_000).default(0));

const pciWord = lazily(() =>
  z.string().regex(/^0x[0-9a-f]{4,6}$/, 'must be a number as sysfs prints it, "0x8086"'),
);

const pci = lazily(() =>
  z.strictObject({
    vendor: pciWord(),
    device: pciWord(),
    class: pciWord(),
    "subsystem-vendor": pciWord().default("0x0000"),
    "subsystem-device": pciWord().default("0x0000"),
  }),
);

function pciIds({
  vendor,
  device,
  class: kind,
  ...subsystem
}: z.output<ReturnType<typeof pci>>): TopologyPci {
  return {
    ...{ vendor, device, class: kind },
    subsystemVendor: subsystem["subsystem-vendor"],
    subsystemDevice: subsystem["subsystem-device"],
  };
}

const device = lazily(() =>
  z.strictObject({
    device: deviceName(),
    iommu: z.string().nullable().default(null),
    group: z.int().min(0).max(0x7fffffff).nullable().default(null),
    driver: name().nullable().default(null),
    regions: z.array(region()).default([]),
    "regions-scope": forPeople(),
    "regions-truncated": z.boolean().default(false),
    coherent: z.boolean().default(true),
    "isolated-msi": z.boolean().default(true),
    pci: pci().nullable().default(null),
    "numa-node": z.int().min(0).max(1023).nullable().default(null),
    "latency-ms": z
      .strictObject({
        bind: milliseconds(),
        attach: milliseconds(),
        detach: milliseconds(),
        close: milliseconds(),
      })
      .prefault({}),
  }),
);

const kernel = lazily(() =>
  z.strictObject({
    release: z.string().min(1).default("6.12.0"),
    "page-size": z.literal([4096, 16384, 65536]).default(4096),
    iommufd: z.boolean().default(true),
    "vfio-cdev": z.boolean().default(true),
    "resv-iova-ranges": z.boolean().default(false),
    "iommufd-test": z.boolean().default(false),
  }),
);

/** Every IOMMU, device and group is named once, and what refers to one finds it. */
const file = lazily(() =>
  z
    .strictObject({
      kernel: kernel().prefault({}),
      iommus: z.array(iommu()).default([]),
      devices: z.array(device()).default([]),
      files: z
        .record(
          z
            .string()
            .regex(/^\/(proc|sys)(\/(?!\.{1,2}(\/|$))[\w:.@+,-]+)+$/, "must be a path in /proc or /sys"),
          z.string(),
        )
        .default({}),
    })
    .superRefine(({ iommus, devices }, context) => {
      const complain = (path: (string | number)[], message: string) =>
        context.addIssue({ code: "custom", path, message });
      const iommuNames = new Set<string>();
      for (const [index, { name }] of iommus.entries()) {
        if (iommuNames.has(name)) complain(["iommus", index, "name"], `${name} is there twice`);
        iommuNames.add(name);
      }
      const deviceNames = new Set<string>();
      const iommuOfGroup = new Map<number, string>();
      for (const [index, { device, iommu, group }] of devices.entries()) {
        const at = ["devices", index];
        if (deviceNames.has(device)) complain([...at, "device"], `${device} is there twice`);
        deviceNames.add(device);
        if (iommu === null) {
          if (group !== null) complain([...at, "group"], "a device without an IOMMU is in no group");
          continue;
        }
        if (!iommuNames.has(iommu)) complain([...at, "iommu"], `no IOMMU is named ${iommu}`);
        if (group === null) continue;
        const other = iommuOfGroup.get(group) ?? iommu;
        if (other !== iommu) complain([...at, "group"], `group ${group} is behind ${other} already`);
        iommuOfGroup.set(group, other);
      }
    }),
);

/** "devices[0].regions[1].last: 0x0 is below start 0x1000", on one line. */
function problem({ path, message }: { path: PropertyKey[]; message: string }): string {
  const place = path.map((step) => (typeof step === "number" ? `[${step}]` : `.${String(step)}`)).join("");
  return `${place.replace(/^\./, "") || "topology"}: ${message}`.replace(/\s+/g, " ");
}

/** The group numbers that are not taken, ascending. */
function* freeGroups(taken: readonly (number | null)[]): Generator<number, never> {
  const used = new Set(taken);
  for (let group = 0; ; group++) if (!used.has(group)) yield group;
}
