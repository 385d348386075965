#!/usr/bin/env node
import { loadDaemon } from "./compiled.ts";
import { refuseDebugger } from "./debugger.ts";
import { startAlone } from "./heap.ts";

// Before all that takes time.
let started = () => {};
refuseDebugger(new Promise<void>((resolve) => (started = resolve)));
process.on("SIGUSR2", () => {});
startAlone();

void loadDaemon().main(process.argv.slice(2)).then(started);
