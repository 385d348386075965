import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Logger } from "pino";
import type { Metric } from "../metrics/metric.ts";
import { OPEN_METRICS, openMetricsText, PROMETHEUS, prometheusText } from "../metrics/text.ts";
import type { Access } from "./server.ts";
import { type BoundSocket, listenAt } from "./socket-path.ts";

/** Connections at a time, and milliseconds that a request may take to come: who scrapes needs one, and little. */
const CONNECTIONS = 32;
const PATIENCE = 5000;

/** A request's target, in both forms that a server is to take (RFC 9112, 3.2.1 and 3.2.2). */
const TARGET = /^(?:https?:\/\/[^/?#]*)?\/metrics(?:\?|$)/;

/** Serves the metrics over HTTP on Unix sockets, to whom the rules let in. */
export class MetricsServer {
  readonly #access: Access;
  readonly #metrics: () => readonly Metric[];
  readonly #log: Logger;
  readonly #servers: Server[] = [];
  readonly #bound: BoundSocket[] = [];

  constructor(access: Access, metrics: () => readonly Metric[], log: Logger) {
    this.#access = access;
    this.#metrics = metrics;
    this.#log = log;
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
    for (const server of this.#servers) server.closeAllConnections();
    await Promise.all(closed);
  }

  #server(): Server {
    // Only who serves metrics loads it: it would be a tenth of the daemon's start.
    const { createServer } = process.getBuiltinModule("node:http");
    const options = {
      headersTimeout: PATIENCE,
      requestTimeout: PATIENCE,
      connectionsCheckingInterval: PATIENCE,
    };
    const server = createServer(options, (request, response) => answer(request, response, this.#metrics));
    server.maxConnections = CONNECTIONS;
    server.on("connection", (socket: Socket) => {
      const peer = this.#access.peerOf(socket);
      if (!peer || !this.#access.roleOf(peer)) socket.destroy();
    });
    return server;
  }

  #serve(server: Server): void {
    this.#servers.push(server);
    server.on("error", (err) => this.#log.error({ err }, "accepting a connection failed"));
  }
}

function answer(request: IncomingMessage, response: ServerResponse, metrics: () => readonly Metric[]): void {
  const { method = "", url = "", headers } = request;
  if (method !== "GET" && method !== "HEAD")
    refuse(response, 405, "only GET is known here", { Allow: "GET, HEAD" });
  else if (!TARGET.test(url)) refuse(response, 404, "there is only /metrics here");
  else {
    const wantsOld = wantsPrometheus(headers.accept);
    response.setHeader("Content-Type", wantsOld ? PROMETHEUS : OPEN_METRICS);
    response.end(wantsOld ? prometheusText(metrics()) : openMetricsText(metrics()));
  }
}

/** Who asks for plain text, and not for OpenMetrics, gets the form before it. */
function wantsPrometheus(accept = ""): boolean {
  return /text\/plain/.test(accept) && !/openmetrics/.test(accept);
}

function refuse(
  response: ServerResponse,
  status: number,
  why: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8", ...headers });
  response.end(`${why}\n`);
}
