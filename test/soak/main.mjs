// A host's hard day: `npm run soak -- SECONDS`.
import { soakCrowd } from "./crowd.mjs";
import { soakHoarders } from "./hoarders.mjs";

const SECONDS = Number(process.argv[2] ?? 60);
/** Of the time, for the crowd; the rest is for those that hoard. */
const SHARE = 2 / 3;

const faults = [...(await soakCrowd(SECONDS * SHARE)), ...(await soakHoarders(SECONDS * (1 - SHARE)))];
for (const fault of faults) console.error(`soak: ${fault}`);
process.exitCode = faults.length === 0 ? 0 : 1;
