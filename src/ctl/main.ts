#!/usr/bin/env node
import { standardOutput } from "../command-line.ts";
import { run } from "./run.ts";
import { readPiped } from "./standard-input.ts";

const stdout = standardOutput("iovactl");
process.stderr.on("error", () => {});

const { stderr, env } = process;
const status = await run(process.argv.slice(2), { stdout, stderr, env, piped: readPiped });
// A pipe may still have to take the rest.
stdout.write("", () => process.exit(status));
