import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { Logger } from "pino";
import type { Peer, Policy } from "../access/policy.ts";
import { monotonic } from "../clock.ts";
import { limitExceeded } from "../host/errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import { Budget } from "./budget.ts";
import type { Caller } from "./connection.ts";
import { ControlLog } from "./control-log.ts";
import { type Measured, Meters, measure } from "./daemon-metrics.ts";
import type { Courier } from "./delivery.ts";
import type { Dialect } from "./dialect.ts";
import { jsonRpc } from "./dialects/json-rpc.ts";
import { Dispatcher } from "./dispatcher.ts";
import { notLetIn } from "./errors.ts";
import type { EventHub } from "./event-hub.ts";
import { LineTurns } from "./line-turns.ts";
import type { Call, DaemonInfo, Method } from "./method.ts";
import { PROTOCOL, SERVICE } from "./protocol.ts";
import { Refusals } from "./refusals.ts";
import { Session, type SessionServices } from "./session.ts";
import { type BoundSocket, listenAt } from "./socket-path.ts";
import { TimeSlices } from "./time-slices.ts";

/** Milliseconds between two looks for lines that stand still. */
const STUCK_MS = 5000;

/** One of so many connections is for role control alone. */
const KEPT_FOR_CONTROL = 16;

/** Who is let in. */
export interface Access {
  /** Who has connected; null when nobody can tell. */
  peerOf(socket: Socket): Peer | null;
  /** May change while the server serves: it is asked at every connection. */
  roleOf(peer: Peer): ReturnType<Policy>;
  /** Is shown every server that listens before anybody can connect to it, but where systemd has listened already. */
  guard?(server: Server): void;
}

export interface RpcServerOptions {
  readonly access: Access;
  readonly methods: readonly Method[];
  readonly host: Call["host"];
  /** Where the host's changes are published for subscribers. */
  readonly events: EventHub;
  readonly backend: DaemonInfo["backend"];
  /** Of the daemon, as `--version` prints it. */
  readonly version: string;
  readonly log: Logger;
  /** How many lines of the log nobody has taken; none when left out. */
  readonly logLinesDropped?: DaemonInfo["logLinesDropped"];
  /** From how many restarts the state was taken over; none when left out. */
  readonly restarts?: DaemonInfo["restarts"];
  /** False when left out. */
  readonly keepsState?: DaemonInfo["keepsState"];
  /** What is measured; whoever else observes the host shares it. */
  readonly meters?: Meters;
  /** May change while the server serves. */
  readonly limits?: Limits;
  /** How the event loop is shared, with whoever else has much to do on it. */
  readonly slices?: TimeSlices;
  /** Sends descriptors to clients; without it, none are handed over. */
  readonly courier?: Courier | undefined;
  /** Milliseconds that a client gets to take what is left when the server closes. */
  readonly closing?: number;
}

/** Serves the methods on Unix sockets, each in a dialect of its own. */
export class RpcServer {
  readonly #access: Access;
  readonly #log: Logger;
  readonly #limits: Limits;
  readonly #slices: TimeSlices;
  readonly #services: SessionServices;
  readonly #meters: Meters;
  readonly #servers: Server[] = [];
  readonly #bound: BoundSocket[] = [];
  readonly #sessions = new Set<Session>();
  readonly #connectionsOf = new Map<number, number>();
  readonly #refusals: Refusals;
  readonly #stuck: NodeJS.Timeout;
  #accepted = 0;

  constructor(options: RpcServerOptions) {
    const { access, methods, host, events, backend, version, log } = options;
    this.#access = access;
    this.#log = log;
    this.#limits = options.limits ?? DEFAULT_LIMITS;
    this.#slices = options.slices ?? new TimeSlices();
    this.#refusals = new Refusals(log);
    this.#meters = options.meters ?? new Meters();
    const budget = new Budget(this.#limits);
    const began = monotonic();
    const daemon: DaemonInfo = {
      name: SERVICE,
      version,
      protocol: PROTOCOL,
      backend,
      instance: events.instance,
      startedAt: new Date(),
      uptime: () => (monotonic() - began) / 1000,
      connections: () => this.#sessions.size,
      logLinesDropped: options.logLinesDropped ?? (() => 0),
      restarts: options.restarts ?? 0,
      keepsState: options.keepsState ?? false,
      metrics: () => measure(measured),
    };
    const measured: Measured = { meters: this.#meters, host, daemon, events, budget, limits: this.#limits };
    this.#services = {
      ...{ daemon, host, events, methods, limits: this.#limits, log },
      dispatcher: new Dispatcher(methods, new ControlLog(log), log, this.#meters.requests),
      budget,
      turns: new LineTurns(this.#limits),
      courier: options.courier,
      closing: options.closing ?? 2000,
      refuse: (socket, dialect, reason) => this.#refusals.refuse(socket, dialect, reason),
    };
    this.#stuck = setInterval(() => this.endStuck(monotonic()), STUCK_MS).unref();
  }

  /**
   * Serves at `path` from when the promise settles, for whoever the file's `mode` lets connect. `dialect` is asked for
   * at every connection.
   * @throws Error with a message for the command line when it cannot, as listenAt does
   */
  async listen(path: string, mode = 0o660, dialect: () => Dialect = () => jsonRpc): Promise<void> {
    const server = this.#server(dialect);
    this.#bound.push(await listenAt(server, path, mode));
    this.#serve(server);
  }

  /** Serves at a socket that listens already: the path is another's, and stays when this one closes. */
  async adopt(fd: number, dialect: () => Dialect = () => jsonRpc): Promise<void> {
    const server = this.#server(dialect);
    server.listen({ fd });
    await once(server, "listening");
    this.#serve(server);
  }

  get connections(): number {
    return this.#sessions.size;
  }

  /** Everything that is measured, as it is now. */
  metrics(): ReturnType<DaemonInfo["metrics"]> {
    return this.#services.daemon.metrics();
  }

  /**
   * Accepts no more, reads no more, finishes the requests under way and sends their answers; then does what is `last`,
   * of which subscribers are still told, and ends every connection.
   */
  async close(last: () => Promise<void> = async () => {}): Promise<void> {
    clearInterval(this.#stuck);
    for (const bound of this.#bound) bound.release();
    const closed = this.#servers.map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    );
    this.#refusals.close();
    await Promise.all([...this.#sessions].map((session) => session.finish()));
    await last();
    const over = [...this.#sessions].map((session) => {
      session.close();
      return session.over;
    });
    await Promise.all([...closed, ...over]);
  }

  /** Ends the connections whose unfinished line stands still for too long at `now`, of monotonic(). */
  endStuck(now: number): void {
    const patience = this.#limits["max-partial-seconds"] * 1000;
    for (const session of this.#sessions) session.endIfStuck(now, patience);
  }

  /** Allowed to stay half open: a client that has sent all it had still waits for its answers. */
  #server(dialect: () => Dialect): Server {
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket, dialect()));
    return server.once("listening", () => this.#access.guard?.(server));
  }

  #serve(server: Server): void {
    this.#servers.push(server);
    server.on("error", (err) => this.#log.error({ err }, "accepting a connection failed"));
  }

  #accept(socket: Socket, dialect: Dialect): void {
    let peer: Caller;
    try {
      peer = this.#admit(socket);
    } catch (reason) {
      this.#meters.refused++;
      this.#refusals.refuse(socket, dialect, reason);
      return;
    }
    const { uid } = peer;
    this.#meters.accepted++;
    this.#count(uid, 1);
    const slice = this.#slices.slice(uid);
    const session = new Session(++this.#accepted, socket, peer, dialect, slice, this.#services);
    this.#sessions.add(session);
    void session.over.then(() => {
      this.#sessions.delete(session);
      this.#count(uid, -1);
    });
  }

  /** @throws HostError PermissionDenied, LimitExceeded */
  #admit(socket: Socket): Caller {
    const peer = this.#access.peerOf(socket);
    if (!peer) throw notLetIn("the kernel does not say who you are");
    const { uid, pid } = peer;
    const role = this.#access.roleOf(peer);
    if (!role) throw notLetIn(`uid ${uid} has no role here; the daemon's administrator can give it one`);
    const all = this.#sessions.size;
    const most = this.#limits["max-connections"];
    // Who only asks leaves some for who can do something about it: two users have all that there are otherwise.
    const open = role === "control" ? most : most - Math.floor(most / KEPT_FOR_CONTROL);
    if (all >= open) {
      throw limitExceeded("max-connections", `all ${open} connections are taken; try again later`);
    }
    const own = this.#connectionsOf.get(uid) ?? 0;
    if (own >= this.#limits["max-connections-per-uid"]) {
      const message = `uid ${uid} has ${own} connections, and no more are allowed; close one`;
      throw limitExceeded("max-connections-per-uid", message);
    }
    return { uid, pid, role };
  }

  #count(uid: number, by: number): void {
    const count = (this.#connectionsOf.get(uid) ?? 0) + by;
    if (count > 0) this.#connectionsOf.set(uid, count);
    else this.#connectionsOf.delete(uid);
  }
}
