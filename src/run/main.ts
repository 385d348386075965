#!/usr/bin/env node
import { complain } from "../command-line.ts";
import { refuseDebugger } from "../debugger.ts";
import { Signals } from "./signals.ts";

// Before anything else is loaded: a signal may come at any time.
const signals = new Signals();
refuseDebugger();
// A reader that is gone ends neither this process nor the command.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

const status = await import("./run.ts")
  .then(({ run }) => run(process.argv.slice(2), signals))
  .catch(({ code, message }: NodeJS.ErrnoException) => {
    const isFull = code === "EMFILE" || code === "ENFILE";
    complain("iovad-run", isFull ? "too many open files: raise the limit (ulimit -n)" : message);
    return 1;
  });
process.exit(status);
