import { chmodSync, statSync } from "node:fs";
import { type Logger, pino } from "pino";
import { type AccessRules, accessPolicy, hasRules, type Peer } from "./access/policy.ts";
import { version } from "./command-line.ts";
import { tuneHeap } from "./heap.ts";
import { Host } from "./host/host.ts";
import { NO_JOURNAL } from "./host/survival/journal.ts";
import { countRestarts } from "./host/survival/restarts.ts";
import type { Limits } from "./limits.ts";
import { logChanges } from "./log.ts";
import { LogSink } from "./log-sink.ts";
import { openKernel } from "./open-kernel.ts";
import { type Options, UsageError, waitingForRestart } from "./options.ts";
import { Meters } from "./rpc/daemon-metrics.ts";
import { qmp } from "./rpc/dialects/qmp.ts";
import { EventHub } from "./rpc/event-hub.ts";
import { METHODS } from "./rpc/methods/index.ts";
import { MetricsServer } from "./rpc/metrics-server.ts";
import { type Access, RpcServer } from "./rpc/server.ts";
import { TimeSlices } from "./rpc/time-slices.ts";
import { forgetEnvironment, readEnvironment, type ServiceEnvironment } from "./service/environment.ts";
import { type Listener, listenersAmong, type Speech } from "./service/listeners.ts";
import type { Service } from "./service/service.ts";
import { Supervision } from "./service/supervision.ts";

/** Milliseconds that the log gets to be taken when the daemon ends, well or badly. */
const LAST_WORDS = 500;

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
  const environment = readEnvironment(process.env, process.pid);
  forgetEnvironment(process.env);
  const supervisor = await openSupervisor(environment, log);
  const kernel = await openKernel(options.simulate);
  // What is open on a simulated host goes with this process, whoever supervises it.
  const service = kernel.backend === "linux" ? supervisor : undefined;
  const kept = service ? { journal: service.journal, store: service.store } : {};
  const limits = { ...options.limits };
  const slices = new TimeSlices();
  const events = new EventHub({ limits, slices, ...kept });
  const logChange = logChanges(log);
  const meters = new Meters();
  tuneHeap();
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
  const door = await openDoor(options, log, paths);
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
  const metrics = new MetricsServer(door.access, () => server.metrics(), log);
  const listening = listenAll({ server, metrics }, sockets, paths, door);
  // Before there is a socket that anybody could see: a signal then ends the daemon as any other does.
  onEnd(log, async () => {
    await listening;
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
  process.on("SIGHUP", () => (supervision ? supervision.reload(reload) : reload()));
  supervision?.ready(environment);
  const { socket, qmpSocket, metricsSocket } = options;
  log.info(
    { socket, qmpSocket, metricsSocket, backend: kernel.backend, release: kernel.release },
    "listening",
  );
}

/** Whoever supervises this process; undefined: nobody does, and nothing outlives it. */
async function openSupervisor(environment: ServiceEnvironment, log: Logger): Promise<Service | undefined> {
  if (environment.notifySocket === undefined) return undefined;
  const { openService } = await import("./service/service.ts");
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

/** Where the daemon makes a socket of its own: of what is spoken at none that systemd listens at. */
type OwnSockets = Partial<Record<Speech, string | undefined>>;

function ownSockets(
  { socket, qmpSocket, metricsSocket }: Options,
  inherited: readonly Listener[],
): OwnSockets {
  const paths: OwnSockets = { "json-rpc": socket, qmp: qmpSocket, metrics: metricsSocket };
  for (const { speech } of inherited) delete paths[speech];
  return paths;
}

/** At all of them or, when it throws, at none: nothing of the daemon's own stays behind. */
async function listenAll(
  { server, metrics }: { readonly server: RpcServer; readonly metrics: MetricsServer },
  inherited: readonly Listener[],
  own: OwnSockets,
  { mode }: { mode(): number },
): Promise<void> {
  const at = (speech: Speech) => inherited.filter((each) => each.speech === speech);
  try {
    for (const { fd } of at("json-rpc")) await server.adopt(fd);
    for (const { fd } of at("qmp")) await server.adopt(fd, qmp);
    for (const { fd } of at("metrics")) await metrics.adopt(fd);
    if (own["json-rpc"] !== undefined) await server.listen(own["json-rpc"], mode());
    if (own.qmp !== undefined) await server.listen(own.qmp, mode(), qmp);
    if (own.metrics !== undefined) await metrics.listen(own.metrics, mode());
  } catch (error) {
    await Promise.all([metrics.close(), server.close()]);
    throw error;
  }
}

/** Undefined without native code, and then there are no threads that could keep the process from ending. */
async function alarm() {
  return import("./libc/alarm.ts").then(
    ({ loadAlarm }) => loadAlarm(),
    () => undefined,
  );
}

/** Who is let in, by rules that may change, and with which mode sockets are made. */
async function openDoor({ simulate, socket, access: first }: Options, log: Logger, own: OwnSockets) {
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
    // The modes of systemd's sockets are systemd's.
    for (const path of Object.values(own)) {
      try {
        if (path !== undefined) chmodSync(path, mode());
      } catch (err) {
        // Somebody has removed it: nobody can come in there, and who is in stays.
        log.error({ err, path }, "the mode of a socket cannot be changed");
      }
    }
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
