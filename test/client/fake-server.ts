import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { sendDescriptors } from "../../src/unix/send-descriptors.ts";

export const GREETING = {
  service: "iovad",
  version: "1.2.3",
  protocol: 1,
  backend: "simulated",
  instance: "a",
  sequence: 0,
};

export interface Request {
  readonly id: number;
  readonly method: string;
  readonly params?: Record<string, unknown>;
}

/** The server's end of one connection: it does what the test says, and nothing by itself. */
export class Peer {
  readonly socket: Socket;
  readonly #lines: AsyncIterator<string>;

  constructor(socket: Socket) {
    this.socket = socket.on("error", () => {});
    this.#lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  }

  /** The next request; undefined when the client has ended. */
  async next(): Promise<Request | undefined> {
    const { value, done } = await this.#lines.next();
    return done ? undefined : JSON.parse(value);
  }

  /** The next request, which must be of this method, and its answer. */
  async answer(method: string, result: object): Promise<Request> {
    const request = (await this.next()) as Request;
    if (request?.method !== method) throw new Error(`not ${method}: ${JSON.stringify(request)}`);
    this.send({ id: request.id, result });
    return request;
  }

  send(...messages: object[]): void {
    for (const message of messages) this.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  }

  greet(greeting: object = {}): void {
    this.send({ method: "greeting", params: { ...GREETING, ...greeting } });
  }

  event(method: string, sequence: number, params: object = {}): void {
    const timestamp = { seconds: sequence, microseconds: 0 };
    this.send({ method, params: { ...params, sequence, timestamp } });
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** One message whose first byte carries the descriptors. */
  sendWith(fds: readonly number[], message: object): Promise<void> {
    const line = `${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`;
    return sendDescriptors(this.socket, line, fds, new AbortController().signal);
  }
}

/** A server that misbehaves as the test wants it to. */
export class FakeServer {
  readonly path: string;
  readonly #directory = mkdtempSync(join(tmpdir(), "iovad-client-"));
  #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #arrived: Peer[] = [];
  #wake = () => {};

  private constructor() {
    this.path = join(this.#directory, "s");
    this.#server = this.#listen();
  }

  static async start(): Promise<FakeServer> {
    const server = new FakeServer();
    await once(server.#server, "listening");
    return server;
  }

  /** The next who connects. */
  async peer(): Promise<Peer> {
    while (this.#arrived.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#arrived.shift() as Peer;
  }

  /** The next who connects, greeted. */
  async greeted(greeting: object = {}): Promise<Peer> {
    const peer = await this.peer();
    peer.greet(greeting);
    return peer;
  }

  /** Goes away with all its connections, as one that was killed. */
  async kill(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }

  /** Comes back. */
  async restart(): Promise<void> {
    this.#server = this.#listen();
    await once(this.#server, "listening");
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true });
  }

  #listen(): Server {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      this.#arrived.push(new Peer(socket));
      this.#wake();
    });
    return server.listen(this.path);
  }
}
