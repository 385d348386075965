import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
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
  readonly #server: Server;
  #bound: BoundSocket | undefined;

  constructor(access: Access, metrics: () => readonly Metric[]) {
    const options = {
      headersTimeout: PATIENCE,
      requestTimeout: PATIENCE,
      connectionsCheckingInterval: PATIENCE,
    };
    this.#server = createServer(options, (request, response) => answer(request, response, metrics));
    this.#server.maxConnections = CONNECTIONS;
    this.#server.on("connection", (socket: Socket) => {
      const peer = access.peerOf(socket);
      if (!peer || !access.roleOf(peer)) socket.destroy();
    });
  }

  /** @throws Error as listenAt does */
  async listen(path: string, mode: number): Promise<void> {
    this.#bound = await listenAt(this.#server, path, mode);
  }

  /** Serves at a socket that listens already, and whose path is another's. */
  async adopt(fd: number): Promise<void> {
    this.#server.listen({ fd });
    await once(this.#server, "listening");
  }

  async close(): Promise<void> {
    this.#bound?.release();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
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
