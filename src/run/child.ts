import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { constants } from "node:os";
import { withDeathSignal } from "./death-signal.ts";
import type { HandedOver } from "./hand-over.ts";
import { fillIn, type RunOptions } from "./options.ts";

/** The first number behind standard input, output and error: descriptors of the child follow from here. */
const FIRST = 3;

/**
 * Starts the command with the descriptors, which are closed here: a copy that stays would keep a dead guest's memory
 * pinned. Of a command that cannot be run Node.js throws some errors here, and statusOf() rejects with the others.
 */
export function startChild(
  { command, deathSignal }: Pick<RunOptions, "command" | "deathSignal">,
  { iommufd, devices }: HandedOver,
): ChildProcess {
  const numbers = new Map([...devices.keys()].map((device, index) => [device, FIRST + 1 + index]));
  const filled = fillIn(command, FIRST, numbers) as [string, ...string[]];
  const [program, ...args] = deathSignal ? withDeathSignal(filled, deathSignal, process.pid) : filled;
  const passed = [iommufd, ...devices.values()];
  const child = spawn(program, args, { stdio: ["inherit", "inherit", "inherit", ...passed] });
  for (const fd of passed) closeSync(fd);
  return child;
}

/** Resolves to the exit status that a shell would have. Rejects when the command could not be run. */
export async function statusOf(child: ChildProcess): Promise<number> {
  // "exit", not "close": a daemon that the command leaves behind may keep the standard streams open.
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  return signal === null ? (code ?? 1) : 128 + constants.signals[signal];
}
