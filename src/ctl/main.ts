#!/usr/bin/env node
import { standardOutput } from "../command-line.ts";
import { run } from "./run.ts";

const stdout = standardOutput("iovactl");
process.stderr.on("error", () => {});

const { stderr, env } = process;
const status = await run(process.argv.slice(2), { stdout, stderr, env });
// A pipe may still have to take the rest.
stdout.write("", () => process.exit(status));
