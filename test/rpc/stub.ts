import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Logger, pino } from "pino";
import { z } from "zod";
import { HostError } from "../../src/host/errors.ts";
import type { Host } from "../../src/host/host.ts";
import { DEFAULT_LIMITS, type Limits } from "../../src/limits.ts";
import type { Caller, Subscriber } from "../../src/rpc/connection.ts";
import { ControlLog } from "../../src/rpc/control-log.ts";
import type { DialectCall } from "../../src/rpc/dialect.ts";
import { jsonRpc } from "../../src/rpc/dialects/json-rpc.ts";
import { Dispatcher } from "../../src/rpc/dispatcher.ts";
import { EventHub } from "../../src/rpc/event-hub.ts";
import { LineReader } from "../../src/rpc/framing.ts";
import { range } from "../../src/rpc/inputs.ts";
import { LastRequest } from "../../src/rpc/last-request.ts";
import { type DaemonInfo, defineMethod, type Method } from "../../src/rpc/method.ts";
import { METHODS } from "../../src/rpc/methods/index.ts";
import { type Access, RpcServer } from "../../src/rpc/server.ts";
import { TimeSlices } from "../../src/rpc/time-slices.ts";

/** The rpc layer hands the host on and never looks at it. */
export const NO_HOST = {} as Host;

/** A caller that may do everything. */
export const ROOT: Caller = { uid: 0, pid: 1, role: "control" };

const SILENT = pino({ level: "silent" });

/** A dispatcher whose log reports what clients are told nothing about. */
export function dispatcherOf(methods: readonly Method[], report: (error: unknown) => void): Dispatcher {
  const log = pino({ hooks: { logMethod: ([entry]) => report((entry as unknown as { err: unknown }).err) } });
  return new Dispatcher(methods, new ControlLog(SILENT), log);
}

/** What a handler gets of a daemon without a host, over a connection that nobody reads. */
export function bystander(daemon: Partial<DaemonInfo> = {}): DialectCall {
  return {
    host: NO_HOST,
    daemon: {
      name: "iovad",
      version: "0",
      protocol: 1,
      backend: "simulated",
      instance: "00000000-0000-4000-8000-000000000000",
      startedAt: new Date(0),
      uptime: () => 0,
      connections: () => 1,
      logLinesDropped: () => 0,
      restarts: 0,
      keepsState: false,
      metrics: () => [],
      ...daemon,
    },
    connection: {
      id: 1,
      peer: ROOT,
      dialect: jsonRpc,
      isReady: true,
      onClose: () => () => {},
      onceAnswered() {},
      deliver() {},
      onceReady() {},
      enclose: () => ({ isUnderWay: false }),
    },
    events: new EventHub(),
    limits: DEFAULT_LIMITS,
    methods: METHODS,
    slice: new TimeSlices().slice(0),
    last: new LastRequest(),
  };
}

/** Lets everybody in, as root. */
const EVERYBODY: Access = {
  peerOf: () => ({ uid: 0, gid: 0, pid: 1, groups: [] }),
  roleOf: () => "control",
};

/** Something that happens once, and can be waited for. */
export function latch() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** Milliseconds that pass by nothing but what a stub spins: how busy the machine is makes no difference. */
export interface StubClock {
  now: number;
}

/** Methods that show what the layer does with them. `log` has the names of those that ran, in order. */
export function stubMethods(clock?: StubClock) {
  const log: string[] = [];
  const gate = latch();
  const entered = latch();
  const connections: Subscriber[] = [];
  const method = (name: string, handler: Method["handler"]): Method =>
    defineMethod({
      name,
      role: "observe",
      summary: `Stub ${name}.`,
      params: () => z.strictObject({ value: z.unknown().optional(), range: range().optional() }),
      result: () => z.unknown(),
      errors: ["IoasNotFound"],
      handler(params, call) {
        log.push(name);
        return handler(params, call);
      },
    });
  const methods: Method[] = [
    method("echo", ({ value }) => ({ value })),
    method("echo-later", async ({ value }) => ({ value })),
    method("wait", async () => {
      entered.open();
      await gate.opened;
      return { waited: true };
    }),
    method("count", () => ({ ran: log.length })),
    method("refuse", () => {
      throw new HostError("IoasNotFound", "no IOAS 7 in default", { ioas: 7 });
    }),
    method("refuse-later", async () => {
      throw new HostError("IoasNotFound", "no IOAS 7 in default", { ioas: 7 });
    }),
    method("fail", () => {
      throw new TypeError("secret in /etc/shadow");
    }),
    method("not-json", () => ({ value: 1n })),
    method("spin", () => {
      if (clock) {
        clock.now++;
        return {};
      }
      const until = performance.now() + 1;
      while (performance.now() < until);
      return {};
    }),
    method("big", () => ({ text: "x".repeat(100_000) })),
    method("tell", (_params, { events }) => {
      events.publish({ event: "CONTEXT_DESTROYED", context: "told", cause: "request", uid: null });
      return {};
    }),
    method("listen", (_params, { events, connection }) => {
      events.subscribe(connection, undefined);
      return {};
    }),
    method("watch", (_params, { connection }) => {
      connections.push(connection);
      return {};
    }),
    method("frozen", () => FROZEN),
  ];
  return { methods, log, gate, entered, connections };
}

const FROZEN = Object.freeze({ kept: ["é", 1] });

/** A server in a directory of its own. */
export async function startServer(
  limits: Partial<Limits> = {},
  access: Access = EVERYBODY,
  { closing, log = SILENT, clock }: { closing?: number; log?: Logger; clock?: StubClock } = {},
) {
  const directory = mkdtempSync(join(tmpdir(), "iovad-rpc-"));
  const path = join(directory, "s");
  const stub = stubMethods(clock);
  const all = { ...DEFAULT_LIMITS, ...limits };
  const events = new EventHub({ limits: all });
  const server = new RpcServer({
    access,
    methods: stub.methods,
    host: NO_HOST,
    events,
    backend: "simulated",
    version: "1.2.3",
    log,
    limits: all,
    ...(closing === undefined ? {} : { closing }),
    ...(clock && { slices: new TimeSlices(() => clock.now) }),
  });
  await server.listen(path);
  const clients: Client[] = [];
  return {
    ...stub,
    path,
    server,
    events,
    /** A client that has read its greeting. */
    async connect(): Promise<Client> {
      const client = new Client(path);
      clients.push(client);
      await client.next();
      return client;
    },
    async stop(): Promise<void> {
      stub.gate.open();
      for (const client of clients) client.socket.destroy();
      await server.close();
      rmSync(directory, { recursive: true });
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
export type Message = any;

/** A client that keeps what it reads until it is asked for. */
export class Client {
  readonly socket: Socket;
  /** Settles when the server has ended its side, or the connection was cut. */
  readonly ended: Promise<void>;
  readonly #reader = new LineReader(() => 2 ** 30);
  readonly #lines: Message[] = [];
  #wake = () => {};
  #over = false;

  constructor(path: string) {
    this.socket = connect({ path, allowHalfOpen: true });
    this.socket.on("error", () => {});
    this.socket.on("data", (chunk) => {
      for (const line of this.#reader.push(chunk as Buffer)) this.#lines.push(JSON.parse(String(line)));
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      const end = () => {
        this.#over = true;
        this.#wake();
        resolve();
      };
      this.socket.on("end", end).on("close", end);
    });
  }

  send(...messages: unknown[]): void {
    this.write(messages.map((message) => `${JSON.stringify(message)}\n`).join(""));
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** The next message; undefined when there will be none. */
  async next(): Promise<Message> {
    while (this.#lines.length === 0) {
      if (this.#over) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#lines.shift();
  }

  /** All messages until the server ends. */
  async rest(): Promise<Message[]> {
    await this.ended;
    return this.#lines.splice(0);
  }

  /** A request that must be answered, to see that the connection still works. */
  async stillWorks(): Promise<boolean> {
    this.send(request("probe", "echo", { value: "still here" }));
    const answer = await this.next();
    return answer?.id === "probe" && answer.result.value === "still here";
  }
}

export function request(id: unknown, method: string, params?: object) {
  return { jsonrpc: "2.0", id, method, ...(params ? { params } : {}) };
}
