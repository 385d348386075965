import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { constants } from "node:os";
import type { HandedOver } from "./hand-over.ts";
import { fillIn, type RunOptions } from "./options.ts";

/** Passed on to the child; what else there is (SIGKILL, SIGSTOP) cannot be. */
const FORWARDED = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
/** The first number behind standard input, output and error: descriptors of the child follow from here. */
const FIRST = 3;

/**
 * Runs the command with the descriptors, which are closed here: a copy that stays would keep a dead guest's memory
 * pinned. Resolves to the exit status that a shell would have. Rejects when the command cannot be run.
 */
export async function runChild(
  command: RunOptions["command"],
  { iommufd, devices }: HandedOver,
): Promise<number> {
  const numbers = new Map([...devices.keys()].map((device, index) => [device, FIRST + 1 + index]));
  const [program, ...args] = fillIn(command, FIRST, numbers) as [string, ...string[]];
  const passed = [iommufd, ...devices.values()];
  // Before there is a child: a signal that came between the two would end this process alone. It is dealt with on the
  // event loop, and there is one by then.
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal));
  const child = spawn(program, args, { stdio: ["inherit", "inherit", "inherit", ...passed] });
  for (const fd of passed) closeSync(fd);
  // "exit", not "close": a daemon that the command leaves behind may keep the standard streams open.
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  return signal === null ? (code ?? 1) : 128 + constants.signals[signal];
}
