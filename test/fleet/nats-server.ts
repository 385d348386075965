import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

/** Whether Debian's nats-server is there; without it its tests are left out, and say so. */
export const HAS_NATS = spawnSync("nats-server", ["--version"]).status === 0;

if (!HAS_NATS)
  console.warn("nats-server is not installed: what needs it is left out (apt install nats-server)");

/** A real server, on loopback and on a port of its own that it keeps when it is started again. */
export class NatsServer {
  readonly port: number;
  readonly #directory: string;
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;
  /** Until it is ready. */
  #starting: Promise<void> | undefined;

  private constructor(port: number, args: readonly string[]) {
    this.port = port;
    this.#args = args;
    this.#directory = mkdtempSync(join(tmpdir(), "iovad-nats-"));
  }

  static async start(args: readonly string[] = []): Promise<NatsServer> {
    const server = new NatsServer(await freePort(), args);
    await server.start();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** Nothing where it runs. */
  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    const { port } = this;
    const store = ["-js", "-sd", join(this.#directory, "store")];
    const child = spawn("nats-server", [...store, "-a", "127.0.0.1", "-p", `${port}`, ...this.#args], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process = child;
    const log: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) {
      log.push(line);
      if (!line.includes("Server is ready")) continue;
      child.stderr.resume();
      child.once("exit", () => this.#startAgain(child));
      return;
    }
    throw new Error(`nats-server has ended: ${log.join("\n")}`);
  }

  /**
   * As its service manager does: it panics (2.9, jsMsgGetRequest) when somebody asks for a message of a stream that another
   * is just making.
   */
  #startAgain(dead: ChildProcess): void {
    if (this.#process !== dead) return;
    this.#starting = undefined;
    // Who starts it next hears of it.
    this.start().catch(() => {});
  }

  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = this.#starting = undefined;
    if (!child?.kill("SIGKILL")) return;
    await once(child, "exit");
  }

  /** What was stored is deleted by a client; the server goes on. */
  async forget(): Promise<void> {
    const connection = await connect({ servers: this.url });
    try {
      const manager = await jetstreamManager(connection);
      for await (const { config } of manager.streams.list()) await manager.streams.delete(config.name);
    } finally {
      await connection.close();
    }
  }

  /** All that was stored is gone. */
  loseDisk(): void {
    rmSync(join(this.#directory, "store"), { recursive: true, force: true });
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
