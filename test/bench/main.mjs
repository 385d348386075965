// Every figure of the project, each beside a reference measured in the same run: `npm run bench`.

import { benchPlan } from "./plan.mjs";
import { benchMemory, benchStart } from "./process.mjs";
import { benchRanges } from "./ranges.mjs";
import { benchThroughput } from "./throughput.mjs";

console.log("1,000,000 random ranges normalised and inverted, against a C program (goal: ratio at most 2)");
console.table({ ranges: await benchRanges() });
console.log(
  "Cached query-allowed-ranges a second, against a bare JSON echo (goal: pipelined ratio at least 0.7)",
);
console.table(await benchThroughput());
console.log("One plan over 1,000 devices with 50 regions each, milliseconds");
console.table({ plan: await benchPlan() });
console.log("Start to first answer, against `node -e 0`");
console.table({ start: await benchStart() });
console.log("Resident memory of the daemon, MiB");
console.table({ memory: await benchMemory() });
