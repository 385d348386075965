import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { Logger } from "pino";
import type { Metric } from "../metrics/metric.ts";
import { OPEN_METRICS, openMetricsText, PROMETHEUS, prometheusText } from "../metrics/text.ts";
import { type HttpRequest, type HttpResponse, headOf, requestOf, responseText } from "./http.ts";
import type { Access } from "./server.ts";
import { type BoundSocket, listenAt } from "./socket-path.ts";
import { TimeSlices } from "./time-slices.ts";

/** Connections at a time, in all and of one user, and milliseconds for each: who scrapes needs one, and little. */
const CONNECTIONS = 32;
const CONNECTIONS_PER_UID = 16;
const PATIENCE = 5000;

/** Characters that the head of a request may have. */
const MOST = 16 * 1024;

/** A request's target, in both forms that a server is to take (RFC 9112, 3.2.1 and 3.2.2). */
const TARGET = /^(?:https?:\/\/[^/?#]*)?\/metrics(?:\?|$)/;

/**
 * Serves the metrics over HTTP on Unix sockets, to whom the rules let in: one request a connection. node:http answers all
 * the requests that have come in one read before anybody else gets a turn, and there may be 2,000.
 */
export class MetricsServer {
  readonly #access: Access;
  readonly #metrics: () => readonly Metric[];
  readonly #log: Logger;
  readonly #slices: TimeSlices;
  readonly #servers: Server[] = [];
  readonly #bound: BoundSocket[] = [];
  /** Whose they are. */
  readonly #sockets = new Map<Socket, number>();

  constructor(access: Access, metrics: () => readonly Metric[], log: Logger, slices = new TimeSlices()) {
    this.#access = access;
    this.#metrics = metrics;
    this.#log = log;
    this.#slices = slices;
  }

  /** @throws Error as listenAt does */
  async listen(path: string, mode: number): Promise<void> {
    const server = this.#server();
    this.#bound.push(await listenAt(server, path, mode));
    this.#serve(server);
  }

  /** Serves at a socket that listens already, and whose path is another's. */
  async adopt(fd: number): Promise<void> {
    const server = this.#server();
    await once(server.listen({ fd }), "listening");
    this.#serve(server);
  }

  async close(): Promise<void> {
    for (const bound of this.#bound) bound.release();
    const closed = this.#servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const socket of this.#sockets.keys()) socket.destroy();
    await Promise.all(closed);
  }

  /** Allowed to stay half open: a client that has sent all it had still waits for its answer. */
  #server(): Server {
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
    server.maxConnections = CONNECTIONS;
    return server.once("listening", () => this.#access.guard?.(server));
  }

  #serve(server: Server): void {
    this.#servers.push(server);
    server.on("error", (err) => this.#log.error({ err }, "accepting a connection failed"));
  }

  #accept(socket: Socket): void {
    const peer = this.#access.peerOf(socket);
    const own = [...this.#sockets.values()].filter((uid) => uid === peer?.uid);
    if (!peer || !this.#access.roleOf(peer) || own.length >= CONNECTIONS_PER_UID) {
      socket.destroy();
      return;
    }
    this.#sockets.set(socket, peer.uid);
    // Also of who does not read: nothing waits for it for longer.
    const patience = setTimeout(() => socket.destroy(), PATIENCE);
    socket.once("close", () => {
      clearTimeout(patience);
      this.#sockets.delete(socket);
    });
    socket.on("error", (err) => this.#log.debug({ err }, "connection failed"));
    let text = "";
    const read = (chunk: Buffer) => {
      text += chunk.toString("latin1", 0, MOST);
      const head = headOf(text);
      if (head === undefined && text.length < MOST) return;
      // What comes behind is nobody's concern, but the client may not read before it has sent all of it.
      socket.off("data", read).off("end", giveUp).resume();
      void this.#answer(socket, peer.uid, head);
    };
    const giveUp = () => socket.destroy();
    socket.on("data", read).on("end", giveUp);
  }

  async #answer(socket: Socket, uid: number, head: string | undefined): Promise<void> {
    const slice = this.#slices.slice(uid);
    if (slice.isOver) await slice.pass();
    if (!socket.destroyed) {
      const request = head === undefined ? undefined : requestOf(head);
      const response = head === undefined ? TOO_LONG : this.#responseTo(request);
      socket.end(responseText(response, request?.method !== "HEAD"));
    }
    slice.rest();
  }

  #responseTo(request: HttpRequest | undefined): HttpResponse {
    if (!request) return refusal(400, "that is no request of HTTP/1");
    const { method, target, accept } = request;
    if (method !== "GET" && method !== "HEAD")
      return refusal(405, "only GET is known here", { Allow: "GET, HEAD" });
    if (!TARGET.test(target)) return refusal(404, "there is only /metrics here");
    const metrics = this.#metrics();
    return wantsPrometheus(accept)
      ? { status: 200, type: PROMETHEUS, text: prometheusText(metrics) }
      : { status: 200, type: OPEN_METRICS, text: openMetricsText(metrics) };
  }
}

/** Who asks for plain text, and not for OpenMetrics, gets the form before it. */
function wantsPrometheus(accept: string): boolean {
  return /text\/plain/i.test(accept) && !/openmetrics/i.test(accept);
}

function refusal(status: HttpResponse["status"], why: string, headers = {}): HttpResponse {
  return { status, type: "text/plain; charset=utf-8", text: `${why}\n`, headers };
}

const TOO_LONG = refusal(431, `a request has at most ${MOST} characters here`);
