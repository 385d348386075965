#!/usr/bin/env node
import { cachedData, compileDaemon, loadDaemon } from "./compiled.ts";
import { refuseDebugger } from "./debugger.ts";
import { startAlone } from "./heap.ts";
import { startOf } from "./start.ts";

// Before all that takes time.
let started = () => {};
refuseDebugger(new Promise<void>((resolve) => (started = resolve)));
process.on("SIGUSR2", () => {});
startAlone();

const args = process.argv.slice(2);
// It becomes a CommonJS module, which has a require() of its own.
void loadDaemon(compileDaemon(cachedData(startOf(args, process.env))), require)
  .main(args)
  .then(started);
