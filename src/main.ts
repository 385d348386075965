#!/usr/bin/env node
import { loadDaemon } from "./compiled.ts";
import { refuseDebugger } from "./debugger.ts";
import { startAlone } from "./heap.ts";

// Before all that takes time.
refuseDebugger();
process.on("SIGUSR2", () => {});
startAlone();

loadDaemon().main(process.argv.slice(2));
