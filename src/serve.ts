import { chmodSync, statSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { type Logger, pino } from "pino";
import { type AccessRules, accessPolicy, hasRules, type Peer } from "./access/policy.ts";
import { version } from "./command-line.ts";
import { Host } from "./host/host.ts";
import type { Limits } from "./limits.ts";
import { logChanges } from "./log.ts";
import { LogSink } from "./log-sink.ts";
import { openKernel } from "./open-kernel.ts";
import { type Options, UsageError } from "./options.ts";
import { Meters } from "./rpc/daemon-metrics.ts";
import { qmp } from "./rpc/dialects/qmp.ts";
import { EventHub } from "./rpc/event-hub.ts";
import { METHODS } from "./rpc/methods/index.ts";
import { MetricsServer } from "./rpc/metrics-server.ts";
import { type Access, RpcServer } from "./rpc/server.ts";
import { TimeSlices } from "./rpc/time-slices.ts";

/** Milliseconds that the log gets to be taken when the daemon ends, well or badly. */
const LAST_WORDS = 500;

/**
 * Garbage is looked for when the heap has grown by so much, in percent of what was in use: V8 waits for 300 on a machine
 * with much memory, and what clients threw away stays resident till then.
 */
const HEAP_GROWING_PERCENT = 75;

/** Serves until a signal comes. `reread` gives the options as they are by now. */
export async function serve(options: Options, reread: () => Options): Promise<void> {
  const sink = new LogSink(2);
  const log = pino({ level: options.logLevel, base: null }, sink);
  const end = (status: number) => void sink.settled(LAST_WORDS).then(() => process.exit(status));
  // A fault of ours: the state is unknown, so end, and let the kernel take everything back.
  const endIn = await alarm();
  process.on("uncaughtException", (err) => {
    endIn?.(1);
    log.fatal({ err }, "internal fault");
    end(1);
  });
  const kernel = await openKernel(options.simulate);
  const limits = { ...options.limits };
  const slices = new TimeSlices();
  const events = new EventHub({ limits, slices });
  const logChange = logChanges(log);
  const meters = new Meters();
  const host = new Host(kernel, {
    observer: (change) => {
      logChange(change);
      meters.observe(change);
      events.publish(change);
    },
    limits,
    ...(options.resvIovaRangesIoctl === undefined
      ? {}
      : { resvIovaRangesIoctl: options.resvIovaRangesIoctl }),
  });
  const door = await openDoor(options, log);
  const server = new RpcServer({
    access: door.access,
    methods: METHODS,
    host,
    events,
    backend: kernel.backend,
    version: version(),
    log,
    logLinesDropped: () => sink.dropped,
    meters,
    limits,
    slices,
    courier: door.courier,
  });
  const metricsServer = new MetricsServer(door.access, () => server.metrics());
  const listening = (async () => {
    await server.listen(options.socket, door.mode());
    if (options.qmpSocket !== undefined) await server.listen(options.qmpSocket, door.mode(), qmp);
    if (options.metricsSocket !== undefined) await metricsServer.listen(options.metricsSocket, door.mode());
  })();
  // Before there is a socket that anybody could see: a signal then ends the daemon as any other does.
  onEnd(log, async () => {
    await listening;
    await metricsServer.close();
    await server.close();
    await host.close();
    log.info("closed");
    end(0);
  });
  await listening;
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
  onHangup(reread, log, limits, door.admitBy);
  const { socket, qmpSocket, metricsSocket } = options;
  log.info(
    { socket, qmpSocket, metricsSocket, backend: kernel.backend, release: kernel.release },
    "listening",
  );
}

/** Undefined without native code, and then there are no threads that could keep the process from ending. */
async function alarm() {
  return import("./libc/alarm.ts").then(
    ({ loadAlarm }) => loadAlarm(),
    () => undefined,
  );
}

/** Who is let in, by rules that may change, and with which mode sockets are made. */
async function openDoor({ simulate, socket, qmpSocket, metricsSocket, access: first }: Options, log: Logger) {
  const uid = process.geteuid?.() ?? -1;
  const peerOf = await credentials(simulate !== undefined, uid, log);
  const socketGroup = () => statSync(socket, { throwIfNoEntry: false })?.gid;
  let rules = first;
  let policy = accessPolicy(rules, { uid, socketGroup });
  // Rules may name people outside the socket's group; credentials keep out the rest.
  const mode = () => (peerOf.areKnown ? (hasRules(rules) ? 0o666 : 0o660) : 0o600);
  const access: Access = { peerOf: peerOf.ask, roleOf: (peer) => policy(peer) };
  const admitBy = (changed: AccessRules) => {
    rules = changed;
    policy = accessPolicy(rules, { uid, socketGroup });
    for (const path of [socket, qmpSocket, metricsSocket]) if (path !== undefined) chmodSync(path, mode());
  };
  return { access, mode, admitBy, courier: peerOf.courier };
}

/**
 * Who has connected, by the kernel's word. That takes native code; where it cannot be loaded, a simulated host is served
 * to the daemon's own user alone, which the socket's mode sees to.
 */
async function credentials(isSimulated: boolean, uid: number, log: Logger) {
  try {
    const { peerCredentials } = await import("./unix/credentials.ts");
    const courier = await import("./unix/send-descriptors.ts");
    return { areKnown: true, ask: peerCredentials, courier };
  } catch (err) {
    if (!isSimulated) throw err;
    log.warn({ err }, "no native code: only the daemon's own user is let in, and nothing can be handed over");
    const own: Peer = { uid, gid: -1, pid: 0, groups: [] };
    return { areKnown: false, ask: () => own, courier: undefined };
  }
}

/** SIGHUP reads the config file again; a faulty one changes nothing. */
function onHangup(
  reread: () => Options,
  log: Logger,
  limits: Limits,
  admitBy: (rules: AccessRules) => void,
): void {
  process.on("SIGHUP", () => {
    try {
      const { logLevel, access, limits: now, config } = reread();
      Object.assign(limits, now);
      admitBy(access);
      log.level = logLevel;
      log.info({ config }, config ? "configuration read again" : "there is no --config to read again");
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      log.error({ problems: error.problems }, "the configuration is faulty; nothing was changed");
    }
  });
}

/** A second signal changes nothing: to be cut short, what is under way in the kernel would have to be. */
function onEnd(log: Logger, close: () => Promise<void>): void {
  let closing: Promise<void> | undefined;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      log.info({ signal }, closing ? "closing already" : "closing");
      closing ??= close();
    });
  }
}
