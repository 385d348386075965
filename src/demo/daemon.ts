import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { DemoOptions } from "./options.ts";

const MAIN = fileURLToPath(new URL("../main.cjs", import.meta.url));

/**
 * Starts the daemon, which does not outlive this process however that ends, and resolves when it listens. Rejects with
 * what it says when it cannot.
 */
export async function startDaemon({ topology, socket }: DemoOptions): Promise<ChildProcess> {
  const daemon = spawn(process.execPath, [MAIN, "--simulate", topology, "--socket", socket], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  process.once("exit", () => daemon.kill("SIGTERM"));
  const errors: string[] = [];
  for await (const line of createInterface({ input: daemon.stderr })) {
    if (line.includes('"listening"')) {
      // From here on nobody reads the log; it must not fill the pipe.
      daemon.stderr.resume();
      return daemon;
    }
    errors.push(line);
  }
  throw new Error(errors.join("\n"));
}

/** Resolves to the exit status. */
export async function ended(daemon: ChildProcess): Promise<number> {
  if (daemon.exitCode === null && daemon.signalCode === null) await once(daemon, "exit");
  return daemon.exitCode ?? 1;
}
