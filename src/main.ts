#!/usr/bin/env node
import { loadDaemon } from "./compiled.ts";
import { refuseDebugger } from "./debugger.ts";

// Before all that takes time.
refuseDebugger();
process.on("SIGUSR2", () => {});

loadDaemon().main(process.argv.slice(2));
