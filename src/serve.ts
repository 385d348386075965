import { type Logger, pino } from "pino";
import type { AccessRules } from "./access/policy.ts";
import { version } from "./command-line.ts";
import { listenAll, openDoor, ownSockets } from "./door.ts";
import { tuneHeap } from "./heap.ts";
import { Host } from "./host/host.ts";
import { NO_JOURNAL } from "./host/survival/journal.ts";
import { countRestarts } from "./host/survival/restarts.ts";
import { loadAlarm } from "./libc/alarm.ts";
import type { Limits } from "./limits.ts";
import { logChanges } from "./log.ts";
import { LogSink } from "./log-sink.ts";
import { openKernel } from "./open-kernel.ts";
import { type Options, UsageError, waitingForRestart } from "./options.ts";
import { Meters } from "./rpc/daemon-metrics.ts";
import { EventHub } from "./rpc/event-hub.ts";
import { METHODS } from "./rpc/methods/index.ts";
import { MetricsServer } from "./rpc/metrics-server.ts";
import { RpcServer } from "./rpc/server.ts";
import { TimeSlices } from "./rpc/time-slices.ts";
import { forgetEnvironment, readEnvironment, type ServiceEnvironment } from "./service/environment.ts";
import { listenersAmong } from "./service/listeners.ts";
import { openService, type Service } from "./service/service.ts";
import { Supervision } from "./service/supervision.ts";

/** Milliseconds that the log gets to be taken when the daemon ends, well or badly. */
const LAST_WORDS = 500;

/** Serves until a signal comes. `reread` gives the options as they are by now. */
export async function serve(options: Options, reread: () => Options): Promise<void> {
  const sink = new LogSink(2);
  const log = pino({ level: options.logLevel, base: null }, sink);
  const end = (status: number) => void sink.settled(LAST_WORDS).then(() => process.exit(status));
  // A fault of ours: the state is unknown, so end, and let the kernel take everything back.
  const endIn = alarm();
  process.on("uncaughtException", (err) => {
    endIn?.(1);
    log.fatal({ err }, "internal fault");
    end(1);
  });
  const onHangup = hangups();
  const environment = readEnvironment(process.env, process.pid);
  forgetEnvironment(process.env);
  const supervisor = openSupervisor(environment, log);
  tuneHeap();
  const kernel = openKernel(options.simulate);
  // What is open on a simulated host goes with this process, whoever supervises it.
  const service = kernel.backend === "linux" ? supervisor : undefined;
  const kept = service ? { journal: service.journal, store: service.store } : {};
  const limits = { ...options.limits };
  const slices = new TimeSlices();
  const events = new EventHub({ limits, slices, ...kept });
  const logChange = logChanges(log);
  const meters = new Meters();
  const host = new Host(kernel, {
    observer: (change) => {
      logChange(change);
      meters.observe(change);
      events.publish(change);
    },
    limits,
    ...kept,
    ...(options.resvIovaRangesIoctl === undefined
      ? {}
      : { resvIovaRangesIoctl: options.resvIovaRangesIoctl }),
  });
  const supervision = supervisor && new Supervision(supervisor.notices, () => statusOf(host, server));
  supervision?.takeTime();
  await takeOver(host, events, options.leaseGrace);
  const restarts = countRestarts(service?.journal ?? NO_JOURNAL);
  const sockets = listenersAmong(environment.inherited);
  const paths = ownSockets(options, sockets);
  const door = openDoor(options, log, paths);
  const server = new RpcServer({
    access: door.access,
    methods: METHODS,
    host,
    events,
    backend: kernel.backend,
    version: version(),
    log,
    logLinesDropped: () => sink.dropped,
    keepsState: service !== undefined,
    restarts,
    meters,
    limits,
    slices,
    courier: door.courier,
  });
  const metrics = new MetricsServer(door.access, () => server.metrics(), log, slices);
  const listening = listenAll({ server, metrics }, sockets, paths, door);
  // Before there is a socket that anybody could see: a signal then ends the daemon as any other does.
  onEnd(log, async () => {
    await listening;
    onHangup(() => {});
    supervision?.stopping();
    if (service) host.keepLeases();
    await metrics.close();
    // Whether there will be a next process only systemd knows: if not, it closes what it has kept, and that is the end of it.
    await server.close(() => (service ? host.leave() : host.close()));
    supervision?.close();
    log.info("closed");
    end(0);
  });
  await listening;
  const reload = rereading(options, reread, log, limits, door.admitBy);
  supervision?.ready(environment);
  const { socket, qmpSocket, metricsSocket } = options;
  log.info(
    { socket, qmpSocket, metricsSocket, backend: kernel.backend, release: kernel.release },
    "listening",
  );
  onHangup(() => (supervision ? supervision.reload(reload) : reload()));
}

/** Takes SIGHUP from now on, for whoever is named last. One that comes before there is anybody waits. */
function hangups(): (take: () => void) => void {
  let isWaiting = false;
  let take = () => {
    isWaiting = true;
  };
  process.on("SIGHUP", () => take());
  return (next) => {
    take = next;
    if (isWaiting) take();
    isWaiting = false;
  };
}

/** Whoever supervises this process; undefined: nobody does, and nothing outlives it. */
function openSupervisor(environment: ServiceEnvironment, log: Logger): Service | undefined {
  if (environment.notifySocket === undefined) return undefined;
  return openService(environment, (what) => log.warn({ what }, "a restart may not keep everything"));
}

/** What an earlier process has left is settled before anybody is let in. */
async function takeOver(host: Host, events: EventHub, leaseGrace: number): Promise<void> {
  const lost = await host.takeOver(leaseGrace);
  if (!lost) return;
  if (lost.length > 0) events.renew();
  host.restarted(events.instance, lost);
}

/** One line for people. */
function statusOf(host: Host, { connections }: RpcServer): string {
  return `${host.heldCount} devices held in ${host.contexts().length} contexts, ${connections} connections`;
}

/** Undefined without native code, and then there are no threads that could keep the process from ending. */
function alarm() {
  try {
    return loadAlarm();
  } catch {
    return undefined;
  }
}

/** What SIGHUP does: it reads the config file again; a faulty one changes nothing. */
function rereading(
  running: Options,
  reread: () => Options,
  log: Logger,
  limits: Limits,
  admitBy: (rules: AccessRules) => void,
): () => void {
  return () => {
    try {
      const asked = reread();
      const { logLevel, access, limits: now, config } = asked;
      Object.assign(limits, now);
      admitBy(access);
      log.level = logLevel;
      const options = waitingForRestart(running, asked);
      if (options.length > 0) log.warn({ options }, "these options take effect with the next start");
      log.info({ config }, config ? "configuration read again" : "there is no --config to read again");
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      log.error({ problems: error.problems }, "the configuration is faulty; nothing was changed");
    }
  };
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
