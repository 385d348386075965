import * as z from "zod";
import { lazily } from "../../lazily.ts";
import { nearest, suggestion } from "../../nearest.ts";
import { CXL_FMW_ALIGNMENT } from "../../plan/machines/cxl.ts";
import {
  fullName,
  readFullName,
  resolveVersion,
  type VersionedType,
  versionsOf,
} from "../../plan/machines/versions.ts";
import type { Machine } from "../../plan/machines.ts";
import { quote } from "../errors.ts";
import { REQUIRED } from "../expectation.ts";
import { size } from "../inputs.ts";

const MiB = 1n << 20n;
const GiB = 1n << 30n;

const aByte = lazily(() => size().refine((bytes) => bytes > 0n, { error: "expected at least 1 byte" }));
const flag = lazily(() => z.boolean().optional());
/** `target/i386/cpu.c: x86_cpu_realizefn`; PARange of an Arm CPU. */
const physBits = lazily(() => z.int().min(32).max(52).optional());

const memory = () => ({
  memory: aByte().meta({ description: "-m size. QEMU rounds it up to 8 KiB" }),
  "max-memory": size().optional().meta({ description: "-m maxmem" }),
  slots: z.int().min(0).max(256).optional().meta({ description: "-m slots" }),
});

function version(type: VersionedType) {
  const newest = `${versionsOf(type).at(-1)}`;
  return z
    .string()
    .max(64)
    .optional()
    .meta({
      description: "Of the machine type; the newest when left out. Guests keep the one that they began with",
      examples: [newest, fullName(type, newest)],
    });
}

const pcMembers = () => ({
  ...memory(),
  "max-ram-below-4g": size()
    .refine((bytes) => bytes >= MiB && bytes <= 4n * GiB, { error: "expected 1 MiB to 4 GiB" })
    .optional(),
  "amd-vcpu": z.boolean().default(false).meta({
    description:
      "The guest's CPU calls itself AuthenticAMD: then machine types from 7.1 on keep clear of the HyperTransport hole below 1 TiB. Under KVM every named model has the vendor of the host's CPU, so on an AMD host it is true of all of them. Under TCG it is true of qemu64, max and EPYC, and of Dhyana it is not. A vendor= behind the model overrides both",
  }),
  "phys-bits": physBits().meta({
    description:
      "Of the vCPU, where QEMU is to refuse what needs more; when left out, as many as are needed. QEMU's default is 40, and the host's with -cpu host",
  }),
  "pci-hole64-size": size()
    .optional()
    .meta({ description: "Of the host bridge; 2 GiB for pc, 32 GiB for q35" }),
  "x-pci-hole64-fix": flag().meta({ description: "Of the host bridge; off for machine types up to 2.10" }),
  cxl: flag(),
  "cxl-fmw-size": size()
    .refine((bytes) => bytes % CXL_FMW_ALIGNMENT === 0n, { error: "expected a multiple of 256 MiB" })
    .optional()
    .meta({ description: "Of all CXL fixed memory windows together (cxl-fmw.N.size)" }),
});

const virtMembers = () => ({
  ...memory(),
  version: version("virt"),
  "phys-bits": physBits().meta({
    description:
      "Of the CPU's physical addresses, or what KVM lets a guest have; when left out, as many as are needed. 40 for cortex-a53, 44 for cortex-a57",
  }),
  highmem: flag().meta({ description: "Off: nothing above 4 GiB" }),
  "highmem-mmio": flag(),
  "highmem-mmio-size": size()
    .refine((bytes) => bytes >= 512n * GiB && (bytes & (bytes - 1n)) === 0n, {
      error: "expected a power of two, at least 512 GiB",
    })
    .optional(),
  "highmem-ecam": flag(),
  "highmem-redists": flag(),
  "compact-highmem": flag().meta({ description: "Off for machine types up to 7.1" }),
});

const microvmMembers = () => ({
  ...memory(),
  "phys-bits": physBits().meta({
    description: "Of the vCPU: its topmost quarter is the 64-bit PCI hole, which is left out without",
  }),
});

const cloudHypervisorMembers = () => ({
  arch: z.enum(["x86-64", "aarch64"]).default("x86-64"),
  memory: aByte().meta({ description: "--memory size, or that of all zones together" }),
  "hotplug-size": aByte().optional().meta({ description: "--memory hotplug_size" }),
  "phys-bits": physBits().meta({
    description:
      "The host's, or max_phys_bits when that is less: all above memory is for devices, which is left out without",
  }),
});

const machines = () =>
  z.discriminatedUnion(
    "type",
    [
      ofType("pc", { ...pcMembers(), version: version("pc") }),
      ofType("q35", { ...pcMembers(), version: version("q35") }),
      ofType("virt", virtMembers()),
      ofType("microvm", microvmMembers()),
      ofType("cloud-hypervisor", cloudHypervisorMembers()),
    ],
    { error: ({ code, input }) => (code === "invalid_union" ? refuseType(input) : undefined) },
  );

/** A machine as clients may write it. */
export const machine = lazily(() =>
  machines()
    .transform((given, context): Machine => {
      const fault = (member: string, message: string) => {
        context.addIssue({ code: "custom", path: [member], message });
        return z.NEVER;
      };
      if (given.type === "microvm" || given.type === "cloud-hypervisor") return inCamelCase(given);
      if ("cxl-fmw-size" in given && given["cxl-fmw-size"] !== undefined && !given.cxl) {
        return fault("cxl-fmw-size", "QEMU ignores the windows without cxl: set it, too");
      }
      try {
        const { version } = given;
        return inCamelCase({
          ...given,
          version: version === undefined ? undefined : resolveVersion(given.type, version),
        });
      } catch (error) {
        return fault("version", (error as RangeError).message);
      }
    })
    .meta({
      id: "MachineInput",
      description:
        "A machine as its VMM's command line describes it: QEMU's pc, q35 and microvm (x86) and virt (Arm), and Cloud Hypervisor. Of the 64-bit PCI hole it tells where QEMU puts it by default. Firmware may put BARs elsewhere, and does: where they are, only the mtree of the running guest tells. Behind a guest's own IOMMU that translates, devices see the guest's IOVAs and not these windows",
    }),
);

function ofType<Type extends string, Members extends z.ZodRawShape>(type: Type, members: Members) {
  const known = ["type", ...Object.keys(members)];
  return z.strictObject(
    { type: z.literal(type), ...members },
    {
      error: (issue) =>
        issue.code === "unrecognized_keys" ? refuseMember(`${issue.keys[0]}`, type, known) : undefined,
    },
  );
}

/** No member is ignored: it may move things in a way that is not described here. */
function refuseMember(name: string, type: string, known: readonly string[]): string {
  const advice =
    suggestion(name, known) ||
    "; if it moves memory, only the mtree of the guest, started with -S, tells where";
  return `unknown member ${quote(name)} of a ${type}${advice}`;
}

const TYPES = ["pc", "q35", "virt", "microvm", "cloud-hypervisor"];

function refuseType(input: unknown): string {
  const { type } = input as { type?: unknown };
  const misspelt = type === undefined ? misspeltType(input as object) : undefined;
  if (misspelt !== undefined) return `${REQUIRED}; did you mean it by ${quote(misspelt)}?`;
  const expected = `expected one of ${TYPES.join(", ")}`;
  if (typeof type !== "string") return expected;
  const named = readFullName(type);
  return named
    ? `write "type":"${named.type}","version":"${named.version}"`
    : `${expected}${suggestion(type, TYPES)}`;
}

/** Only looked for among as many members as a machine may have. */
function misspeltType(input: object): string | undefined {
  return Object.keys(input)
    .slice(0, 32)
    .find((name) => nearest(name, ["type"]));
}

type CamelCase<Name> = Name extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Name;

/** Members by the names that they have in the code. */
function inCamelCase<Given extends object>(given: Given) {
  const entries = Object.entries(given).map(([name, value]) => [
    name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
    value,
  ]);
  return Object.fromEntries(entries) as { [Name in keyof Given as CamelCase<Name>]: Given[Name] };
}
