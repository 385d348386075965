#!/usr/bin/env node
import { run } from "./run.ts";

// Who reads the output may go, as head does: nothing is left to be done then.
process.stdout.on("error", () => process.exit(0));
process.stderr.on("error", () => {});

const status = await run(process.argv.slice(2));
// A pipe may still have to take the rest.
process.stdout.write("", () => process.exit(status));
