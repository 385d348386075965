#!/usr/bin/env node
import { run } from "./run.ts";
import { standardOutput } from "./standard-output.ts";

const stdout = standardOutput();
// Who reads the output may go, as head does: nothing is left to be done then.
process.stdout.on("error", () => process.exit(0));
process.stderr.on("error", () => {});

const { stderr, env } = process;
const status = await run(process.argv.slice(2), { stdout, stderr, env });
// A pipe may still have to take the rest.
stdout.write("", () => process.exit(status));
