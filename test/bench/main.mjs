// Every figure of the project, each beside a reference measured in the same run: `npm run bench`, or some of them by
// name: `npm run bench -- fleet`.

import { benchFleet } from "./fleet.mjs";
import { benchPlan } from "./plan.mjs";
import { benchMemory, benchStart } from "./process.mjs";
import { benchRanges } from "./ranges.mjs";
import { benchThroughput } from "./throughput.mjs";

const BENCHES = {
  ranges: {
    about: "1,000,000 random ranges normalised and inverted, against a C program (goal: ratio at most 1.2)",
    run: async () => ({ ranges: await benchRanges() }),
  },
  throughput: {
    about:
      "Cached query-allowed-ranges a second, against a bare JSON echo (goals: ratio at least 0.95 pipelined, 0.9 one at a time)",
    run: benchThroughput,
  },
  plan: {
    about: "One plan over 1,000 devices with 50 regions each, milliseconds (goal: at most 250 as a request)",
    run: async () => ({ plan: await benchPlan() }),
  },
  start: {
    about: "Start to first answer, against `node -e 0` (goals: ratio at most 2, of processor time 2.3)",
    run: benchStart,
  },
  memory: {
    about: "Resident memory of the daemon, MiB (goal: idle at most 58)",
    run: async () => ({ memory: await benchMemory() }),
  },
  fleet: {
    about:
      "Hosts in a real nats-server: milliseconds to read all, to answer, and from a change's put to its answer; MiB resident (goals for 10,000 hosts: 4,000; 50, and 500 without two alike; 20; 250)",
    run: async () => (await benchFleet()) ?? { "left out": "nats-server is not installed" },
  },
};

const names = process.argv.slice(2);
const unknown = names.find((name) => !Object.hasOwn(BENCHES, name));
if (unknown !== undefined)
  throw new Error(`there is no bench "${unknown}": ${Object.keys(BENCHES).join(", ")}`);
for (const [name, { about, run }] of Object.entries(BENCHES)) {
  if (names.length > 0 && !names.includes(name)) continue;
  console.log(about);
  console.table(await run());
}
