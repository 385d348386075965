import { createServer, type Server, type Socket } from "node:net";
import type { Logger } from "pino";
import type { Peer, Policy } from "../access/policy.ts";
import { limitExceeded } from "../host/errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import { ControlLog } from "./control-log.ts";
import { notLetIn } from "./errors.ts";
import type { EventHub } from "./event-hub.ts";
import { JsonRpc } from "./jsonrpc.ts";
import type { Call, Caller, DaemonInfo, Method } from "./method.ts";
import { disablePretenuring } from "./pretenuring.ts";
import { PROTOCOL, SERVICE } from "./protocol.ts";
import { Refusals } from "./refusals.ts";
import { Session, type SessionLimits } from "./session.ts";
import { type BoundSocket, listenAt } from "./socket-path.ts";
import { TimeSlices } from "./time-slices.ts";

/** Milliseconds that a client gets to take what is left when the daemon ends. */
const CLOSING = 2000;

/** Who is let in. */
export interface Access {
  /** Who has connected; null when nobody can tell. */
  peerOf(socket: Socket): Peer | null;
  readonly roleOf: Policy;
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
  readonly limits?: Limits;
  /** Milliseconds that a client gets to take what is left when the server closes. */
  readonly closing?: number;
}

/** Serves the methods on a Unix socket. */
export class RpcServer {
  readonly #access: Access;
  readonly #host: Call["host"];
  readonly #events: EventHub;
  readonly #log: Logger;
  readonly #limits: Limits;
  readonly #sessionLimits: SessionLimits;
  readonly #methods: readonly Method[];
  readonly #slices = new TimeSlices();
  readonly #rpc: JsonRpc;
  readonly #daemon: DaemonInfo;
  /** Allowed to stay half open: a client that has sent all it had still waits for its answers. */
  readonly #server: Server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  readonly #sessions = new Map<Session, Promise<void>>();
  readonly #refusals: Refusals;
  #bound: BoundSocket | undefined;
  #accepted = 0;

  constructor({ access, methods, host, events, backend, version, log, limits, closing }: RpcServerOptions) {
    this.#access = access;
    this.#host = host;
    this.#events = events;
    this.#log = log;
    this.#limits = limits ?? DEFAULT_LIMITS;
    this.#methods = methods;
    const oldMessageLimits = { batch: this.#limits["max-batch"], nesting: this.#limits["max-nesting"] };
    this.#sessionLimits = {
      request: this.#limits["max-request"],
      inFlight: this.#limits["max-in-flight"],
      queue: this.#limits["max-queue"],
      closing: closing ?? CLOSING,
    };
    this.#refusals = new Refusals(log);
    const report = (message: string, err: unknown) => log.error({ err }, message);
    this.#rpc = new JsonRpc(methods, oldMessageLimits, report, new ControlLog(log));
    this.#daemon = {
      name: SERVICE,
      version,
      protocol: PROTOCOL,
      backend,
      startedAt: new Date(),
      connections: () => this.#sessions.size,
    };
  }

  /**
   * Serves at `path` from when the promise settles, for whoever the file's `mode` lets connect.
   * @throws Error with a message for the command line when it cannot, as listenAt does
   */
  async listen(path: string, mode = 0o660): Promise<void> {
    disablePretenuring();
    this.#bound = await listenAt(this.#server, path, mode);
    this.#server.on("error", (err) => this.#log.error({ err }, "accepting a connection failed"));
  }

  /** Accepts no more, reads no more, finishes the requests under way, sends their answers and ends every connection. */
  async close(): Promise<void> {
    this.#bound?.release();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#sessions.keys()) session.close();
    this.#refusals.close();
    await Promise.all([closed, ...this.#sessions.values()]);
  }

  #accept(socket: Socket): void {
    let peer: Caller;
    try {
      peer = this.#admit(socket);
    } catch (reason) {
      this.#refusals.refuse(socket, reason);
      return;
    }
    const session = new Session(++this.#accepted, socket, peer, this.#rpc, this.#sessionLimits, this.#log);
    const over = session
      .run({
        daemon: this.#daemon,
        host: this.#host,
        events: this.#events,
        limits: this.#limits,
        methods: this.#methods,
        slice: this.#slices.slice(peer.uid),
      })
      .finally(() => this.#sessions.delete(session));
    this.#sessions.set(session, over);
  }

  /** @throws HostError PermissionDenied, LimitExceeded */
  #admit(socket: Socket): Caller {
    const peer = this.#access.peerOf(socket);
    if (!peer) throw notLetIn("the kernel does not say who you are");
    const { uid, pid } = peer;
    const role = this.#access.roleOf(peer);
    if (!role) throw notLetIn(`uid ${uid} has no role here; the daemon's administrator can give it one`);
    const connections = this.#limits["max-connections"];
    const connectionsPerUid = this.#limits["max-connections-per-uid"];
    if (this.#sessions.size >= connections) {
      throw limitExceeded("max-connections", `all ${connections} connections are taken; try again later`);
    }
    const own = [...this.#sessions.keys()].filter((session) => session.peer.uid === uid).length;
    if (own >= connectionsPerUid) {
      const limit = `uid ${uid} has ${own} connections, and no more are allowed; close one`;
      throw limitExceeded("max-connections-per-uid", limit);
    }
    return { uid, pid, role };
  }
}
