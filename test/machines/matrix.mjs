// The guests that are compared. Members are those of check-layout's `machine`.
import { versionsOf } from "../../dist/plan/machines/versions.js";

const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** What stands for all that a machine can do: it must show what a version or an option changes. */
const TYPICAL = {
  pc: [
    { memory: "3584M" },
    { memory: "4608M", "max-memory": "16G", slots: 2 },
    { memory: "1.5T", "amd-vcpu": true },
  ],
  q35: [
    { memory: "2G" },
    { memory: "4608M", "max-memory": "16G", slots: 2 },
    { memory: "1.5T", "amd-vcpu": true },
  ],
  virt: [{ memory: "4G" }, { memory: "511G" }, { memory: "3G", "max-memory": "300G", slots: 3 }],
};

const X86_SIZES = ["128M", "2815M", "2816M", "3583M", "3584M", "4095M", "4G", "8G", "1000G", "6T"];
/** Where an AMD vCPU's memory moves, for either board's 64-bit hole. */
const AMD_SIZES = ["900G", "978G", "979G", "1009G", "1010G", "1012G", "1T", "1.5T"];
const ODD_SIZES = [
  4 * GiB + 1,
  4 * GiB + 8192,
  4 * GiB + 12345,
  3 * GiB - 4096,
  0xb0000000 - 1,
  0xe0000000 - 1,
];

export const CONFIGURATIONS = [
  ...["pc", "q35"].flatMap((type) => [
    ...X86_SIZES.map((memory) => ({ machine: { type, memory } })),
    ...ODD_SIZES.map((memory) => ({ machine: { type, memory } })),
    ...AMD_SIZES.map((memory) => ({ machine: { type, memory, "amd-vcpu": true } })),
    ...each(
      { type },
      "max-ram-below-4g",
      ["1M", "1G", "1536M", "3G", "3584M", "4G"],
      [{ memory: "2G" }, { memory: "5G" }],
    ),
    ...["4G", "5G", "8704M", "1T"].flatMap((max) =>
      [undefined, 0, 1, 256].map((slots) => ({
        machine: { type, memory: "4G", "max-memory": max, ...(slots === undefined ? {} : { slots }) },
      })),
    ),
    { machine: { type, memory: "4G", "max-memory": "9G", slots: 3 }, dimms: ["1G", "2G"] },
    { machine: { type, memory: "2G", "max-memory": "976G", slots: 2, "amd-vcpu": true }, dimms: ["1G"] },
    { machine: { type, memory: "2G", "max-memory": "1010G", slots: 2, "amd-vcpu": true }, dimms: ["1G"] },
    ...each({ type }, "pci-hole64-size", ["0b", "1G", GiB + 1, "3.5G", "1T"], [{ memory: "4G" }]),
    ...each(
      { type, "amd-vcpu": true },
      "pci-hole64-size",
      [34 * GiB, 34 * GiB + 1],
      [{ memory: "976G" }, { memory: "1T" }],
    ),
    ...each(
      { type },
      "x-pci-hole64-fix",
      [true, false],
      [{ memory: "4G" }, { memory: "4G", version: "2.10" }],
    ),
    ...each(
      { type, version: "2.4", "max-memory": "70G", slots: 2 },
      "x-pci-hole64-fix",
      [true, false],
      [{ memory: "4G" }, { memory: "4G", "phys-bits": 36 }],
    ),
    ...each(
      { type },
      "phys-bits",
      [33, 36, 40, 48],
      [{ memory: "4G" }, { memory: "40G" }, { memory: "1023G" }, { memory: "2T" }],
    ),
    ...["4G", "4608M"].flatMap((memory) => [
      { machine: { type, memory, cxl: true } },
      { machine: { type, memory, cxl: true, "max-memory": "8G", slots: 1 } },
      { machine: { type, memory, cxl: true, "phys-bits": 40 } },
    ]),
    { machine: { type, memory: "977G", cxl: true, "amd-vcpu": true } },
    { machine: { type, memory: "1008G", cxl: true, "amd-vcpu": true } },
    { machine: { type, memory: "978G", "amd-vcpu": true, cxl: true } },
  ]),
  ...["256M", "4G", "4352M", "1T"].map((fmw) => ({
    machine: { type: "q35", memory: "4G", cxl: true, "cxl-fmw-size": fmw },
  })),
  { machine: { type: "q35", memory: "974G", cxl: true, "cxl-fmw-size": "4G", "amd-vcpu": true } },
  // What makes a vCPU AMD's, without KVM.
  ...[
    ["qemu64", true],
    ["max", true],
    ["EPYC-Milan", true],
    ["Dhyana", false],
    ["Skylake-Client", false],
    ["EPYC,vendor=GenuineIntel", false],
    ["Skylake-Client,vendor=AuthenticAMD", true],
  ].map(([cpu, amd]) => ({
    machine: { type: "q35", memory: "1.5T", "amd-vcpu": amd },
    cpu: `${cpu},phys-bits=48`,
  })),
  ...["pc", "q35", "virt"].flatMap((type) =>
    versionsOf(type).flatMap((version) =>
      TYPICAL[type].map((members) => ({ machine: { type, version, ...members } })),
    ),
  ),
  ...["1G", "3G", "255G", "256G", "511G", "512G", "600G", "1023G", "4T", GiB + 1, 3 * GiB - 4096].map(
    (memory) => ({
      machine: { type: "virt", memory },
    }),
  ),
  ...["1G", "600G", "1022G", "1023G"].flatMap((memory) =>
    [40, 44, 48].map((bits) => ({ machine: { type: "virt", memory, "phys-bits": bits } })),
  ),
  ...each(
    { type: "virt" },
    "highmem",
    [true, false],
    [{ memory: "1G" }, { memory: "3G" }, { memory: "1G", "max-memory": "2G", slots: 1 }],
  ),
  ...["highmem-mmio", "highmem-ecam", "highmem-redists"].flatMap((name) =>
    each(
      { type: "virt" },
      name,
      [false],
      [{ memory: "1G" }, { memory: "511G" }, { memory: "600G", "phys-bits": 40 }],
    ),
  ),
  ...[undefined, "7.1", "7.2", "10.0"].flatMap((version) =>
    [undefined, true, false].map((compact) => ({
      machine: {
        type: "virt",
        memory: "511G",
        "highmem-ecam": false,
        "highmem-redists": false,
        ...(version === undefined ? {} : { version }),
        ...(compact === undefined ? {} : { "compact-highmem": compact }),
      },
    })),
  ),
  ...each(
    { type: "virt" },
    "highmem-mmio-size",
    ["512G", "1T", "4T"],
    [{ memory: "1G" }, { memory: "600G" }, { memory: "1G", "phys-bits": 40 }],
  ),
  ...["4G", "5G", 4 * GiB + 12345, "600G"].flatMap((max) =>
    [undefined, 0, 1, 256].map((slots) => ({
      machine: { type: "virt", memory: "4G", "max-memory": max, ...(slots === undefined ? {} : { slots }) },
    })),
  ),
  ...["64M", "3G", 3 * GiB + MiB, "4G", "47G", 47 * GiB + 8192].flatMap((memory) =>
    [36, 40, 46].map((bits) => ({ machine: { type: "microvm", memory, "phys-bits": bits } })),
  ),
  { machine: { type: "microvm", memory: "4G", "max-memory": "8G", slots: 2, "phys-bits": 40 } },
  // What QEMU refuses.
  ...["pc", "q35", "virt", "microvm"].flatMap((type) => [
    { machine: { type, memory: "1G", slots: 2 } },
    { machine: { type, memory: "1G", slots: 0 } },
    { machine: { type, memory: "1G", slots: 2, "max-memory": "1G" } },
    { machine: { type, memory: "1G", "max-memory": "512M" } },
    { machine: { type, memory: GiB + 1, "max-memory": GiB + 1 } },
  ]),
  ...["pc", "q35"].flatMap((type) => [
    { machine: { type, memory: "4G", "phys-bits": 32 } },
    { machine: { type, memory: "2T", "phys-bits": 40 } },
    { machine: { type, memory: "1000G", "phys-bits": 40, "amd-vcpu": true } },
    { machine: { type, memory: "1T", "phys-bits": 40, "amd-vcpu": true } },
    { machine: { type, memory: "4G", "max-memory": 4 * GiB + 8193 } },
  ]),
  ...["4075M", "4076M", "4080M", "4095M"].map((memory) => ({
    machine: { type: "pc", memory, "max-ram-below-4g": "4G" },
  })),
  { machine: { type: "pc", version: "2.0", memory: "1G", "max-memory": "2G" } },
  { machine: { type: "virt", memory: "3G", highmem: false, "max-memory": "4G" } },
  { machine: { type: "virt", memory: "1T", "phys-bits": 40 } },
].map((configuration) => ({ ...configuration, name: nameOf(configuration) }));

/** Why QEMU refuses a guest: what its message and ours have in common, word for word. */
export const REASONS = [
  /slots specified but no max-size/,
  /memory slots were specified but/,
  /must be at least the initial memory size/,
  /phys-bits too low \(\d+\)/,
  /multiple of 4096 bytes/,
  /is not supported by/,
  /limited to \d+ bits, but memory exceeds it by \d+ bytes/,
];
/** Here QEMU fails an assertion, which tells nobody anything. */
export const ASSERTION = { qemu: /range_(invariant|set_bounds)/, ours: /leave no 32-bit PCI hole/ };

/** Where QEMU differs and answers do not: a version that no member of `machine` tells from the others, or nonsense. */
export const NOT_DESCRIBED = [
  {
    name: "CXL above memory that ends off a gigabyte: QEMU 7.2 rounds up first (pc_get_cxl_range_start)",
    qemu: "7.2",
    isIn: ({ machine }) => machine.cxl && machine.memory === "4608M" && !machine["max-memory"],
  },
  {
    name: "phys-bits=32 with more memory than that: QEMU 7.2 starts the guest (pc_max_used_gpa)",
    qemu: "7.2",
    isIn: ({ machine }) => machine["phys-bits"] === 32,
  },
  {
    name: "a microvm whose 64-bit PCI hole covers RAM: we refuse it, QEMU of any version hides the RAM",
    isIn: ({ machine }) =>
      machine.type === "microvm" && machine.memory > 3 * 2 ** (machine["phys-bits"] - 2) - GiB,
  },
];

function each(machine, member, values, others) {
  return others.flatMap((other) =>
    values.map((value) => ({ machine: { ...machine, ...other, [member]: value } })),
  );
}

function nameOf({ machine, cpu, dimms }) {
  const members = Object.entries(machine).map(([name, value]) => `${name}=${value}`);
  return [...members, ...(cpu ? [`-cpu ${cpu}`] : []), ...(dimms ? [`dimms ${dimms}`] : [])].join(" ");
}
