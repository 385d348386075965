// One guest, as QEMU makes it and as we say: what differs.
import { isDeepStrictEqual } from "node:util";
import { machineWindows } from "../../dist/plan/machines.js";
import { parseMtree } from "../../dist/plan/mtree.js";
import { finish } from "../../dist/ranges/steps.js";
import { layoutParams } from "../../dist/rpc/methods/layout-params.js";
import { commandLine } from "./command-line.mjs";
import { flatWindows, merged, placesOf } from "./flat-view.mjs";
import { ASSERTION, REASONS } from "./matrix.mjs";
import { ask } from "./qemu.mjs";

const COMMANDS = ["info mtree -f", "info mtree -f -o", "info mtree"];
/** The host bridges tell their holes; the windows of the others are in the tree. */
const BRIDGES = { q35: "/machine/q35", pc: "/machine/i440fx" };
const HOLES = ["pci-hole-start", "pci-hole-end", "pci-hole64-start", "pci-hole64-end"];
const TREE_HOLES = { virt: ["pcie-mmio", "pcie-mmio-high"], microvm: ["pcie-mmio32", "pcie-mmio64"] };
/** Where a board has its firmware, which is not among the windows of a planned machine. */
const FIRMWARE = {
  x86_64: { start: 0xff000000n, last: 0xffffffffn },
  aarch64: { start: 0n, last: (1n << 30n) - 1n },
};

/**
 * Resolves with one of
 * - `{ outcome: "absent" }`: this QEMU does not have the machine or one of its options
 * - `{ outcome: "equal", flatViews }`, `{ outcome: "refused" }`: as we say
 * - `{ outcome: "different", differences }`: lines for people
 */
export async function compare(qemu, configuration) {
  const { machine } = configuration;
  const { target, args } = commandLine(machine, configuration);
  const bridge = BRIDGES[machine.type];
  const properties = bridge ? HOLES.map((hole) => [bridge, hole]) : [];
  const seen = await ask(qemu, target, args, { commands: COMMANDS, properties });
  const { windows, refusal } = ours(machine);
  if (seen.texts === undefined) {
    if (/Property '.*' not found|unsupported machine type/.test(seen.stderr)) return { outcome: "absent" };
    return refused(seen.stderr, refusal);
  }
  if (refusal !== undefined) return different([`we refuse it: ${refusal}`]);
  const differences = [
    ...differencesOfMap(windows, seen, target, configuration),
    ...differencesOfTexts(seen.texts),
  ];
  return differences.length > 0 ? different(differences) : { outcome: "equal" };
}

function ours(machine) {
  const parsed = layoutParams().machine.safeParse(machine);
  if (!parsed.success) return { refusal: parsed.error.issues.map(({ message }) => message).join("; ") };
  try {
    return { windows: machineWindows(parsed.data) };
  } catch (error) {
    return { refusal: error.message };
  }
}

function refused(theirs, refusal) {
  if (refusal === undefined) return different([`QEMU refuses it: ${theirs}`]);
  const isAlike =
    REASONS.some((reason) => isDeepStrictEqual(reason.exec(theirs)?.[0] ?? "", reason.exec(refusal)?.[0])) ||
    (ASSERTION.qemu.test(theirs) && ASSERTION.ours.test(refusal));
  return isAlike ? { outcome: "refused" } : different([`QEMU's reason: ${theirs}`, `ours: ${refusal}`]);
}

function differencesOfMap(windows, { texts, values }, target, { machine, dimms = [] }) {
  const [flat, , tree] = texts;
  const view = flatWindows(flat);
  const placed = (...names) => merged(windows.filter(({ name }) => names.includes(name)));
  const plugged = view.filter(({ name }) => name.startsWith("dimm"));
  const firmware = FIRMWARE[target];
  const ram = merged(
    view.filter(
      (each) => !plugged.includes(each) && !(each.start >= firmware.start && each.last <= firmware.last),
    ),
  );
  const device = placed("device-memory");
  const bridge = BRIDGES[machine.type];
  const [low, high] = bridge ? [hole(values[0], values[1]), hole(values[2], values[3])] : [];
  const [lowName, highName] = TREE_HOLES[machine.type] ?? [];
  return [
    ...differ("RAM", ram, placed("ram", "ram-below-4g", "ram-above-4g")),
    ...differ("device memory", placesOf(tree, "device-memory"), device),
    ...differ("32-bit PCI hole", low ?? placesOf(tree, lowName), placed("pci-hole")),
    ...differ("64-bit PCI hole", high ?? placesOf(tree, highName), placed("pci-hole64")),
    ...(machine.cxl
      ? [
          ...differ("CXL registers", placesOf(tree, "cxl_host_reg"), placed("cxl-host")),
          ...differ("CXL windows", placesOf(tree, "cxl-fixed-memory-region"), placed("cxl-fmw")),
        ]
      : []),
    ...(plugged.length !== dimms.length
      ? [`${plugged.length} of ${dimms.length} modules are in the flat view`]
      : []),
    ...plugged
      .filter(({ start, last }) => !device.some((window) => window.start <= start && last <= window.last))
      .map(({ name }) => `${name} is plugged outside the device memory`),
  ];
}

/** The same flat view, read by two programs, with owners and without. */
function differencesOfTexts([flat, owners, tree]) {
  const expected = flatWindows(flat);
  const shown = (windows) =>
    windows.map(
      ({ name, start, last, required }) => `${name} ${start.toString(16)} ${last.toString(16)} ${required}`,
    );
  const differences = [];
  for (const [command, text] of [
    [COMMANDS[0], flat],
    [COMMANDS[1], owners],
  ]) {
    const read = finish(parseMtree(text, 4096n));
    if (!isDeepStrictEqual(shown(read), shown(expected))) {
      differences.push(`${command}: ${shown(read)} instead of ${shown(expected)}`);
    }
  }
  try {
    finish(parseMtree(tree, 4096n));
    differences.push(`${COMMANDS[2]} is taken for a flat view`);
  } catch {
    // As it should be.
  }
  return differences;
}

function hole(start, end) {
  return start < end ? [{ start: BigInt(start), last: BigInt(end) - 1n }] : [];
}

function differ(what, theirs, own) {
  return isDeepStrictEqual(theirs, own) ? [] : [`${what}: QEMU has ${shown(theirs)}, we say ${shown(own)}`];
}

function shown(ranges) {
  return (
    ranges.map(({ start, last }) => `0x${start.toString(16)}-0x${last.toString(16)}`).join(" ") || "none"
  );
}

function different(differences) {
  return { outcome: "different", differences };
}
