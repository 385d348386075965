/** What a developer writes to have one. */
const WANTED = /(^|\s)--inspect/;

/**
 * Milliseconds: a thread of Node's opens it some time after the signal. Not at once: to look loads a part of Node.js that takes
 * as long as the first answers, for which clients wait.
 */
const LOOKS = [100, 300, 1000, 3000];

/**
 * Keeps SIGUSR1 from opening Node's debugger, a port on which every user of the host could run code in this process.
 * A handler takes the signal away from it (seen on Node.js 20, 22 and 24; 20 knows no --disable-sigusr1); what a signal
 * has opened before there was one is closed again, soon after `start`.
 */
export function refuseDebugger(
  start: Promise<unknown> = Promise.resolve(),
  { execArgv, env }: Pick<NodeJS.Process, "execArgv" | "env"> = process,
): void {
  process.on("SIGUSR1", () => {});
  if (WANTED.test([...execArgv, env.NODE_OPTIONS ?? ""].join(" "))) return;
  void start.finally(() => {
    for (const wait of LOOKS) setTimeout(closeDebugger, wait).unref();
  });
}

function closeDebugger(): void {
  const inspector = process.getBuiltinModule("node:inspector");
  if (inspector.url() !== undefined) inspector.close();
}
