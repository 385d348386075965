// A machine, as check-layout takes it, in the form of QEMU's command line.
import { parseSize } from "../../dist/ranges/size.js";

/** Above it a guest's memory is not reserved on the host, so that any host can start it paused. */
const RESERVED = 2n << 30n;
/** A CPU model with so many physical address bits. */
const ARM_CPUS = { 40: "cortex-a53", 44: "cortex-a57", 48: "neoverse-n1" };
const FULL_NAMES = { pc: "pc-i440fx", q35: "pc-q35", virt: "virt" };

/** Of -machine, by the names that they have here; sizes and switches. */
const MACHINE_OPTIONS = [
  "max-ram-below-4g",
  "cxl",
  "highmem",
  "highmem-mmio",
  "highmem-mmio-size",
  "highmem-ecam",
  "highmem-redists",
  "compact-highmem",
];
/** Of the host bridge. */
const BRIDGE_OPTIONS = ["pci-hole64-size", "x-pci-hole64-fix"];

/** The machine type's name, as `-machine help` lists it. */
export function machineName({ type, version }) {
  return version === undefined ? type : `${FULL_NAMES[type]}-${version}`;
}

/**
 * @param cpu instead of the model that the machine's members mean
 * @param dimms sizes of modules that are plugged from the start
 */
export function commandLine(machine, { cpu = cpuOf(machine), dimms = [] } = {}) {
  const args = ["-cpu", cpu, "-m", memoryOf(machine)];
  const options = MACHINE_OPTIONS.filter((name) => machine[name] !== undefined).map(
    (name) => `${name}=${spelled(machine[name])}`,
  );
  if (machine.type === "microvm") options.push("pcie=on");
  if (parse(machine.memory) > RESERVED && parse(machine.memory) % 8192n === 0n) {
    args.push("-object", `memory-backend-ram,id=ram,size=${machine.memory},reserve=off`);
    options.push("memory-backend=ram");
  }
  if (machine["cxl-fmw-size"] !== undefined) {
    const bridge = machine.type === "q35" ? "pcie.0" : "pci.0";
    options.push("cxl-fmw.0.targets.0=cxl", `cxl-fmw.0.size=${machine["cxl-fmw-size"]}`);
    args.push("-device", `pxb-cxl,bus_nr=12,bus=${bridge},id=cxl`);
  }
  for (const name of BRIDGE_OPTIONS.filter((name) => machine[name] !== undefined)) {
    const bridge = machine.type === "q35" ? "q35-pcihost" : "i440FX-pcihost";
    args.push("-global", `${bridge}.${name}=${spelled(machine[name])}`);
  }
  for (const [n, size] of dimms.entries()) {
    args.push("-object", `memory-backend-ram,id=dimm${n},size=${size},reserve=off`);
    args.push("-device", `pc-dimm,memdev=dimm${n}`);
  }
  return {
    target: machine.type === "virt" ? "aarch64" : "x86_64",
    args: ["-machine", [machineName(machine), ...options].join(","), ...args],
  };
}

function cpuOf(machine) {
  if (machine.type === "virt") return ARM_CPUS[machine["phys-bits"]] ?? "max";
  return `${machine["amd-vcpu"] ? "EPYC" : "Skylake-Server"},phys-bits=${machine["phys-bits"] ?? 52}`;
}

function memoryOf({ memory, "max-memory": max, slots }) {
  const parts = [`size=${spelled(memory)}`];
  if (slots !== undefined) parts.push(`slots=${slots}`);
  if (max !== undefined) parts.push(`maxmem=${spelled(max)}`);
  return parts.join(",");
}

/** Bytes get their unit: `-m 4096` means megabytes. */
function spelled(value) {
  if (typeof value === "boolean") return value ? "on" : "off";
  return typeof value === "number" ? `${value}b` : value;
}

function parse(size) {
  return typeof size === "number" ? BigInt(size) : parseSize(size);
}
