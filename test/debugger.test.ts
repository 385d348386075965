import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";

const compiled = new URL("../dist/debugger.js", import.meta.url).href;

/**
 * What becomes of the debugger of a process that gets SIGUSR1 as early as it can, in the order of the events. It ends
 * when it has seen `last`.
 */
function historyOf(refusal: string, last: string, ...flags: string[]): string[] {
  const program = `
    import { spawnSync } from "node:child_process";
    import { setTimeout as delay } from "node:timers/promises";
    import inspector from "node:inspector";
    import { refuseDebugger } from ${JSON.stringify(compiled)};
    const state = () => (inspector.url() === undefined ? "closed" : "open");
    const history = [];
    const look = () => state() !== history.at(-1) && history.push(state());
    spawnSync("kill", ["-USR1", String(process.pid)]);
    // The signal has come; a thread of Node's opens the debugger.
    while (state() === "closed") await delay(1);
    look();
    ${refusal}
    while (history.at(-1) !== ${JSON.stringify(last)}) { await delay(1); look(); }
    spawnSync("kill", ["-USR1", String(process.pid)]);
    for (let turn = 0; turn < 20; turn++) { await delay(1); look(); }
    console.log(JSON.stringify(history));
    process.exit();
  `;
  const args = [...flags, "--input-type=module", "--eval", program];
  const { stdout } = spawnSync(process.execPath, args, { encoding: "utf8", env: {} });
  return JSON.parse(stdout);
}

it("a process that refuses a debugger loses one that it was given before, and gets none again", () => {
  expect(historyOf("refuseDebugger();", "closed")).toEqual(["open", "closed"]);
});

it("a process that does not refuse it keeps it", () => {
  expect(historyOf("", "open")).toEqual(["open"]);
});

it("a developer who starts a process with one keeps it", () => {
  expect(historyOf("refuseDebugger();", "open", "--inspect=0")).toEqual(["open"]);
});
