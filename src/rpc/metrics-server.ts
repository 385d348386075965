import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Metric } from "../metrics/metric.ts";
import { OPEN_METRICS, openMetricsText, PROMETHEUS, prometheusText } from "../metrics/text.ts";
import type { Access } from "./server.ts";
import { type BoundSocket, listenAt } from "./socket-path.ts";

/** Connections at a time, and milliseconds that a request may take to come: who scrapes needs one, and little. */
const CONNECTIONS = 32;
const PATIENCE = 5000;

/** Serves the metrics over HTTP on a Unix socket, to whom the rules let in. */
export class MetricsServer {
  readonly #access: Access;
  readonly #metrics: () => readonly Metric[];
  #server: Server | undefined;
  #bound: BoundSocket | undefined;

  constructor(access: Access, metrics: () => readonly Metric[]) {
    this.#access = access;
    this.#metrics = metrics;
  }

  /** @throws Error as listenAt does */
  async listen(path: string, mode: number): Promise<void> {
    this.#bound = await listenAt(this.#open(), path, mode);
  }

  /** Serves at a socket that listens already, and whose path is another's. */
  async adopt(fd: number): Promise<void> {
    await once(this.#open().listen({ fd }), "listening");
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    this.#bound?.release();
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  #open(): Server {
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
    this.#server = server;
    return server;
  }
}

function answer(request: IncomingMessage, response: ServerResponse, metrics: () => readonly Metric[]): void {
  const { method = "", url = "", headers } = request;
  if (method !== "GET" && method !== "HEAD")
    refuse(response, 405, "only GET is known here", { Allow: "GET, HEAD" });
  else if (url.split("?", 1)[0] !== "/metrics") refuse(response, 404, "there is only /metrics here");
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
