// Compares what we say of a guest's memory map with QEMU's own, byte for byte: `npm run test:machines [-- short]`.
// Starts real QEMUs of several Debian suites, paused; needs no KVM, and of Debian packages nothing but apt and dpkg.
import { availableParallelism } from "node:os";
import { comparedWith } from "../../dist/plan/machines.js";
import { machineName } from "./command-line.mjs";
import { compare } from "./compare.mjs";
import { CONFIGURATIONS, NOT_DESCRIBED } from "./matrix.mjs";
import { unpackedQemu } from "./qemu.mjs";
import { randomConfigurations } from "./random.mjs";

const SUITES = ["bookworm", "bookworm-backports", "testing"];
const isShort = process.argv.includes("short");
const seed = Number(process.env.IOVAD_SEED ?? Math.floor(Math.random() * 2 ** 32));
console.log(`machines: IOVAD_SEED=${seed} repeats the random guests`);

/** In the short form every so-many-th, from a place that the seed says, so that runs differ in what they leave out. */
const STRIDE = 10;
const all = isShort ? CONFIGURATIONS.filter((_, n) => n % STRIDE === seed % STRIDE) : CONFIGURATIONS;
const configurations = [...all, ...randomConfigurations(seed, isShort ? 15 : 150)];

const problems = [];
const rows = [];
const met = new Set();
for (const qemu of SUITES.map(unpackedQemu)) {
  const started = performance.now();
  const counts = { equal: 0, refused: 0, different: 0, "not described": 0, absent: 0 };
  await eachInParallel(configurations, async (configuration) => {
    const isAbsent = !qemu.machines.has(machineName(configuration.machine));
    const { outcome, differences } = isAbsent ? { outcome: "absent" } : await compare(qemu, configuration);
    const exception = NOT_DESCRIBED.find(
      ({ qemu: version = qemu.version, isIn }) => version === qemu.version && isIn(configuration),
    );
    if (outcome === "different" && exception) {
      counts["not described"]++;
      met.add(exception);
      return;
    }
    counts[outcome]++;
    if (outcome === "different")
      problems.push([`QEMU ${qemu.version}: ${configuration.name}`, ...differences].join("\n    "));
  });
  if (counts.equal < (isShort ? 40 : 150))
    problems.push(`QEMU ${qemu.version}: only ${counts.equal} maps were compared`);
  rows.push({
    qemu: qemu.version,
    suite: qemu.suite,
    guests: configurations.length,
    ...counts,
    seconds: Math.round((performance.now() - started) / 1000),
  });
}

for (const { name } of met) console.log(`not described: ${name}`);
for (const { name } of NOT_DESCRIBED.filter((exception) => !isShort && !met.has(exception))) {
  problems.push(`listed as not described, and is as we say: ${name}`);
}

// Answers name these versions.
const versions = rows.map(({ qemu }) => qemu);
if (`${comparedWith("q35")}` !== `${versions}`) {
  const message = `answers say that maps were compared with QEMU ${comparedWith("q35")}, and it was ${versions}: see src/plan/machines.ts`;
  // What Debian's testing has today must not stop who changes something else.
  if (isShort) console.log(`machines: ${message}`);
  else problems.push(message);
}

console.table(rows);
for (const problem of problems) console.log(`DIFFERENT ${problem}`);
console.log(problems.length === 0 ? "machines: no differences" : `machines: ${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;

async function eachInParallel(items, work) {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}
