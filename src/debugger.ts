import inspector from "node:inspector";

/** What a developer writes to have one. */
const WANTED = /(^|\s)--inspect/;

/**
 * Keeps SIGUSR1 from opening Node's debugger, a port on which every user of the host could run code in this process.
 * A handler takes the signal away from it (seen on Node.js 20, 22 and 24; 20 knows no --disable-sigusr1); what a signal
 * has opened before there was one is closed again.
 */
export function refuseDebugger({ execArgv, env }: Pick<NodeJS.Process, "execArgv" | "env"> = process): void {
  process.on("SIGUSR1", () => {});
  if (WANTED.test([...execArgv, env.NODE_OPTIONS ?? ""].join(" "))) return;
  setImmediate(() => {
    if (inspector.url() !== undefined) inspector.close();
  });
}
