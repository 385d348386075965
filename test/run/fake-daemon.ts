import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { sendDescriptors } from "../../src/unix/send-descriptors.ts";

/** What passes for an iommufd and for the cdevs, in the order in which they are handed over. */
export const IOMMUFD = "/dev/null";
export const CDEVS = ["/dev/zero", "/dev/full"];

interface Request {
  readonly id: number;
  readonly method: string;
  readonly params: Record<string, unknown>;
}

/** A daemon that hands over whatever it is asked for, and remembers what that was. */
export class FakeDaemon {
  readonly path: string;
  readonly requests: (readonly [method: string, params: object])[] = [];
  /** The first thing that a client is sent. */
  greeting = JSON.stringify({
    jsonrpc: "2.0",
    method: "greeting",
    params: { service: "iovad", protocol: 1 },
  });
  /** Takes requests and answers none. */
  isMute = false;
  /** Has lost all contexts in a restart. */
  isForgetful = false;
  /** Sends no descriptors. */
  isStingy = false;
  readonly #directory = mkdtempSync(join(tmpdir(), "iovad-"));
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #devices = 0;

  constructor() {
    this.path = join(this.#directory, "s");
    this.#server = createServer((socket) => void this.#serve(socket));
  }

  static async start(): Promise<FakeDaemon> {
    const daemon = new FakeDaemon();
    daemon.#server.listen(daemon.path);
    await once(daemon.#server, "listening");
    return daemon;
  }

  /** How many clients are connected: each has a lease. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Ends all connections. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  stop(): void {
    this.#server.close();
    rmSync(this.#directory, { recursive: true });
  }

  async #serve(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.on("error", () => {}).on("close", () => this.#sockets.delete(socket));
    socket.write(`${this.greeting}\n`);
    for await (const line of createInterface({ input: socket })) await this.#answer(socket, JSON.parse(line));
  }

  async #answer(socket: Socket, { id, method, params }: Request): Promise<void> {
    this.requests.push([method, params]);
    if (this.isMute) return;
    const files: string[] = [];
    if (method === "resume-context") {
      const error = { code: -32005, message: "there is no such context", data: { class: "ContextNotFound" } };
      socket.write(
        `${JSON.stringify({ jsonrpc: "2.0", id, ...(this.isForgetful ? { error } : { result: params }) })}\n`,
      );
      return;
    }
    if (method !== "create-context" && !this.isStingy) files.push(IOMMUFD);
    if (method === "hand-over-device") files.push(CDEVS[this.#devices++] as string);
    const fds = files.map((file) => openSync(file, "r+"));
    const answer = { jsonrpc: "2.0", id, result: { ...params, fds } };
    await sendDescriptors(socket, `${JSON.stringify(answer)}\n`, fds, new AbortController().signal);
    for (const fd of fds) closeSync(fd);
  }
}
