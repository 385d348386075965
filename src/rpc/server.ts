import { createServer, type Server, type Socket } from "node:net";
import type { Logger } from "pino";
import { limitExceeded, toErrorObject } from "./errors.ts";
import type { EventHub } from "./event-hub.ts";
import { JsonRpc, type MessageLimits } from "./jsonrpc.ts";
import type { Call, DaemonInfo, Method } from "./method.ts";
import { disablePretenuring } from "./pretenuring.ts";
import { PROTOCOL, SERVICE } from "./protocol.ts";
import { Session, type SessionLimits } from "./session.ts";
import { type BoundSocket, listenAt } from "./socket-path.ts";

export interface Limits extends MessageLimits, SessionLimits {
  /** Connections at a time. */
  readonly connections: number;
}

const DEFAULT_LIMITS: Limits = {
  request: 1024 * 1024,
  batch: 100,
  nesting: 64,
  queue: 8 * 1024 * 1024,
  connections: 256,
  closing: 2000,
};

export interface RpcServerOptions {
  readonly methods: readonly Method[];
  readonly host: Call["host"];
  /** Where the host's changes are published for subscribers. */
  readonly events: EventHub;
  readonly backend: DaemonInfo["backend"];
  /** Of the daemon, as `--version` prints it. */
  readonly version: string;
  readonly log: Logger;
  readonly limits?: Partial<Limits>;
}

/** Serves the methods on a Unix socket. */
export class RpcServer {
  readonly #host: Call["host"];
  readonly #events: EventHub;
  readonly #log: Logger;
  readonly #limits: Limits;
  readonly #rpc: JsonRpc;
  readonly #daemon: DaemonInfo;
  /** Allowed to stay half open: a client that has sent all it had still waits for its answers. */
  readonly #server: Server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  readonly #sessions = new Map<Session, Promise<void>>();
  #bound: BoundSocket | undefined;
  #accepted = 0;

  constructor({ methods, host, events, backend, version, log, limits }: RpcServerOptions) {
    this.#host = host;
    this.#events = events;
    this.#log = log;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#rpc = new JsonRpc(methods, this.#limits, (message, err) => log.error({ err }, message));
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
   * Serves at `path` from when the promise settles.
   * @throws Error with a message for the command line when it cannot, as listenAt does
   */
  async listen(path: string): Promise<void> {
    disablePretenuring();
    this.#bound = await listenAt(this.#server, path);
    this.#server.on("error", (err) => this.#log.error({ err }, "accepting a connection failed"));
  }

  /** Accepts no more, reads no more, finishes the requests under way, sends their answers and ends every connection. */
  async close(): Promise<void> {
    this.#bound?.release();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#sessions.keys()) session.close();
    await Promise.all([closed, ...this.#sessions.values()]);
  }

  #accept(socket: Socket): void {
    if (this.#sessions.size >= this.#limits.connections) {
      this.#refuse(socket);
      return;
    }
    const session = new Session(++this.#accepted, socket, this.#rpc, this.#limits, this.#log);
    const over = session
      .run({ daemon: this.#daemon, host: this.#host, events: this.#events })
      .finally(() => this.#sessions.delete(session));
    this.#sessions.set(session, over);
  }

  /** One line that says why: a client that is dropped without a word looks for the fault in itself. */
  #refuse(socket: Socket): void {
    const limit = `all ${this.#limits.connections} connections are taken; try again later`;
    const error = toErrorObject(limitExceeded("connections", limit));
    socket.on("error", (err) => this.#log.debug({ err }, "refused connection failed"));
    socket.write(`${JSON.stringify({ jsonrpc: "2.0", id: null, error })}\n`);
    socket.destroySoon();
  }
}
