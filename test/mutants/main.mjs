// Breaks our code in small ways, and sees whether its tests notice: `npm run mutants [-- LAYER...]`.
// IOVAD_MUTANTS: how many of each layer (25); IOVAD_SEED=NUMBER repeats the sample. Fails when fewer than 90 in 100 are
// noticed.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { mutationsOf } from "./mutations.mjs";

/** The folders of each layer, and the tests that are about it; none that starts a daemon, which runs what was built. */
const LAYERS = {
  ranges: { source: "src/ranges", tests: ["test/ranges/"] },
  attribution: { source: "src/attribution", tests: ["test/attribution/", "test/plan/against-kernel"] },
  plan: { source: "src/plan", tests: ["test/plan/", "test/rpc/planning/"] },
  access: { source: "src/access", tests: ["test/access/"] },
  contexts: { source: "src/host/contexts", tests: ["test/host/", "test/rpc/restart"] },
  knowledge: { source: "src/host/knowledge", tests: ["test/host/", "test/plan/against-kernel"] },
};
const LEAST = 0.9;

const checkout = fileURLToPath(new URL("../..", import.meta.url));
const seed = Number(process.env.IOVAD_SEED ?? Math.floor(Math.random() * 2 ** 32));
const perLayer = Number(process.env.IOVAD_MUTANTS ?? 25);
console.log(`mutants: IOVAD_SEED=${seed} repeats the sample`);

let killed = 0;
let all = 0;
for (const name of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(LAYERS)) {
  const { source, tests } = LAYERS[name];
  const started = performance.now();
  const baseline = await run([...tests, "--reporter=json"], {}, 600_000);
  if (baseline.status !== 0) throw new Error(`${name}: its tests fail without a mutant:\n${baseline.output}`);
  const patience = 20_000 + 4 * (performance.now() - started);
  const order = shortestFirst(JSON.parse(baseline.output));
  const sample = sampleOf(mutantsIn(source), perLayer);
  let alive = 0;
  for (const mutant of sample) {
    const { status } = await run(tests, { mutant, order }, patience);
    if (status !== 0) continue;
    alive++;
    console.log(`  alive: ${mutant.place}: ${mutant.what}`);
  }
  killed += sample.length - alive;
  all += sample.length;
  console.log(`${name}: ${sample.length - alive} of ${sample.length} noticed`);
}
console.log(`${killed} of ${all} noticed, ${((100 * killed) / all).toFixed(1)} %`);
process.exitCode = killed >= LEAST * all ? 0 : 1;

function mutantsIn(folder) {
  const files = readdirSync(`${checkout}/${folder}`, { recursive: true }).filter((file) =>
    file.endsWith(".ts"),
  );
  return files.sort().flatMap((file) => {
    const path = `${checkout}/${folder}/${file}`.replaceAll("//", "/");
    const source = readFileSync(path, "utf8");
    return mutationsOf(source).map(({ start, end, text: instead }) => ({
      path,
      source: source.slice(0, start) + instead + source.slice(end),
      place: `${folder}/${file}:${source.slice(0, start).split("\n").length}`,
      what: `${source.slice(start, end).replace(/\s+/g, " ").slice(0, 70)}  ->  ${instead.slice(0, 70)}`,
    }));
  });
}

/** The test files: most mutants are noticed by those that take no time. */
function shortestFirst({ testResults }) {
  const took = ({ startTime, endTime }) => endTime - startTime;
  return testResults.sort((a, b) => took(a) - took(b)).map(({ name }) => name);
}

/** Whether its tests notice: every end but a good one counts as that, and no end in time. */
async function run(tests, given, timeout) {
  const vitest = `${checkout}/node_modules/vitest/vitest.mjs`;
  const argv = [vitest, "run", "--config", `${checkout}/test/mutants/vitest.config.mjs`, ...tests];
  const env = { ...process.env, IOVAD_MUTANT: JSON.stringify(given) };
  // A process group of its own: vitest's worker may loop for ever, and does not end with its parent.
  const child = spawn(process.execPath, argv, {
    cwd: checkout,
    env,
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const end = setTimeout(() => process.kill(-child.pid, "SIGKILL"), timeout);
  const output = await text(child.stdout);
  const [status] = child.exitCode === null ? await once(child, "exit") : [child.exitCode];
  clearTimeout(end);
  return { status, output };
}

/** So many of them, by the seed: a shuffle with mulberry32 in the place of chance. */
function sampleOf(mutants, count) {
  let state = seed;
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return mutants
    .map((mutant) => ({ mutant, order: random() }))
    .sort((a, b) => a.order - b.order)
    .slice(0, count)
    .map(({ mutant }) => mutant);
}
