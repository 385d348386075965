#!/usr/bin/env node
import { readFileSync, statSync } from "node:fs";
import { pino } from "pino";
import { accessPolicy, hasRules } from "./access/policy.ts";
import { captureTopology } from "./capture.ts";
import { complain, version } from "./command-line.ts";
import { HELP } from "./help.ts";
import { Host } from "./host/host.ts";
import type { Kernel } from "./kernel/kernel.ts";
import { logChanges } from "./log.ts";
import { type HostChoice, type Options, parseOptions, UsageError } from "./options.ts";
import { EventHub } from "./rpc/event-hub.ts";
import { METHODS } from "./rpc/methods/index.ts";
import { RpcServer } from "./rpc/server.ts";
import { peerCredentials } from "./unix/credentials.ts";

/** Serves until a signal comes. Exit status: 0 after a signal, 1 when it cannot serve, 2 for a wrong command line. */
async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2), process.env, uid());
  if (options === "help") process.stdout.write(HELP);
  else if (options === "version") process.stdout.write(`iovad ${version()}\n`);
  else if (options === "check-config") return;
  else if (options.errand === "capture") await capture(options);
  else await serve(options);
}

/** Prints the host as it is, and asks nothing of a device. */
async function capture({ simulate, ...options }: HostChoice): Promise<void> {
  const host = new Host(await openKernel(simulate), options);
  process.stdout.write(`${JSON.stringify(await captureTopology(host), null, 2)}\n`);
  await host.close();
}

/** Bytes of the log that may wait to be written. */
const LOG_BACKLOG = 8 * 1024 * 1024;

async function serve(options: Options): Promise<void> {
  // Off the event loop: who does not read the log stops nobody, and loses what is beyond some megabytes.
  const stderr = pino.destination({ fd: 2, sync: false, maxLength: LOG_BACKLOG });
  const log = pino({ level: options.logLevel, base: null }, stderr);
  // A fault of ours: the state is unknown, so end, and let the kernel take everything back.
  process.on("uncaughtException", (err) => {
    log.fatal({ err }, "internal fault");
    process.exit(1);
  });
  const kernel = await openKernel(options.simulate);
  const events = new EventHub({ limits: options.limits });
  const logChange = logChanges(log);
  const host = new Host(kernel, {
    observer: (change) => {
      logChange(change);
      events.publish(change);
    },
    limits: options.limits,
    ...(options.resvIovaRangesIoctl === undefined
      ? {}
      : { resvIovaRangesIoctl: options.resvIovaRangesIoctl }),
  });
  const { access, socket } = options;
  const socketGroup = () => statSync(socket, { throwIfNoEntry: false })?.gid;
  const server = new RpcServer({
    access: { peerOf: peerCredentials, roleOf: accessPolicy(access, { uid: uid(), socketGroup }) },
    methods: METHODS,
    host,
    events,
    backend: kernel.backend,
    version: version(),
    log,
    limits: options.limits,
  });
  // Rules may name people outside the socket's group; credentials keep out the rest.
  await server.listen(socket, hasRules(access) ? 0o666 : 0o660);
  const close = async () => {
    await server.close();
    await host.close();
    log.info("closed");
    stderr.flush(() => process.exit(0));
  };
  let closing: Promise<void> | undefined;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    // A second one changes nothing: to be cut short, what is under way in the kernel would have to be.
    process.on(signal, () => {
      log.info({ signal }, closing ? "closing already" : "closing");
      closing ??= close();
    });
  }
  log.info({ socket, backend: kernel.backend, release: kernel.release }, "listening");
}

/** Each adapter is loaded only where it is used: the simulated host needs no native code. */
async function openKernel(simulate: string | undefined): Promise<Kernel> {
  if (simulate === undefined) {
    const { LinuxKernel } = await import("./kernel/linux/linux-kernel.ts");
    return new LinuxKernel();
  }
  const { SimulatedKernel } = await import("./kernel/simulated/simulated-kernel.ts");
  const { parseTopology } = await import("./kernel/simulated/topology.ts");
  try {
    return new SimulatedKernel(parseTopology(JSON.parse(readFileSync(simulate, "utf8"))));
  } catch (error) {
    throw new UsageError([`--simulate ${simulate}: ${(error as Error).message}`]);
  }
}

function uid(): number {
  return process.geteuid?.() ?? -1;
}

main().catch((error: Error) => {
  const lines = error instanceof UsageError ? error.problems : [error.message];
  for (const line of lines) complain("iovad", line);
  process.exit(error instanceof UsageError ? 2 : 1);
});
