import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Client, connect } from "../../src/client/index.ts";

/** The built command. */
export const MAIN = new URL("../../dist/main.cjs", import.meta.url).pathname;

export interface DaemonStart {
  /** Another than the built command. */
  readonly main?: string;
  /** Goes into a file for `--simulate`. */
  readonly topology?: object;
  readonly socket?: string;
  readonly args?: readonly string[];
  /** For Node.js itself. */
  readonly nodeOptions?: readonly string[];
  /** The descriptor that takes the log; nothing of it is known here then. */
  readonly stderr?: number;
}

/** For nodeOptions: a module that runs before the daemon does. */
export function preload(script: string): string[] {
  return ["--import", `data:text/javascript,${encodeURIComponent(script)}`];
}

/** One line of the daemon's log. */
export type LogLine = Record<string, unknown> & { msg: string };

/** The built daemon as a process of its own, in a directory of its own. */
export class Daemon {
  readonly socket: string;
  readonly log: LogLine[] = [];
  /** Everything printed on standard output. */
  stdout = "";
  readonly #directory: string;
  readonly #process: ChildProcess;
  readonly #exited: Promise<number | null>;
  readonly #clients: Client[] = [];

  private constructor(directory: string, process: ChildProcess, socket: string) {
    this.#directory = directory;
    this.#process = process;
    this.socket = socket;
    this.#exited = once(process, "close").then(([code]) => code);
    process.stdout?.on("data", (chunk) => {
      this.stdout += chunk;
    });
  }

  /** Resolves when it listens. */
  static async start(options: DaemonStart = {}): Promise<Daemon> {
    const directory = mkdtempSync(join(tmpdir(), "iovad-"));
    const socket = options.socket ?? join(directory, "iovad.sock");
    const args = [
      ...(options.nodeOptions ?? []),
      options.main ?? MAIN,
      "--socket",
      socket,
      ...(options.args ?? []),
    ];
    if (options.topology) {
      const file = join(directory, "topology.json");
      writeFileSync(file, JSON.stringify(options.topology));
      args.push("--simulate", file);
    }
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", options.stderr ?? "pipe"] });
    const daemon = new Daemon(directory, child, socket);
    await daemon.#listening();
    return daemon;
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  async client(): Promise<Client> {
    const client = await connect({ socket: this.socket });
    this.#clients.push(client);
    return client;
  }

  /** Closes the clients, sends a signal and resolves to the exit status. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    for (const client of this.#clients) void client.close();
    return this.signal(signal);
  }

  /** Sends a signal and resolves to the exit status, null when the signal killed it. */
  async signal(signal: NodeJS.Signals): Promise<number | null> {
    this.#process.kill(signal);
    const code = await this.#exited;
    rmSync(this.#directory, { recursive: true, force: true });
    return code;
  }

  async #listening(): Promise<void> {
    const { stderr } = this.#process;
    if (!stderr) return this.#letsIn();
    const lines = createInterface({ input: stderr });
    await new Promise<void>((resolve, reject) => {
      lines.on("line", (line) => {
        this.log.push(line.startsWith("{") ? JSON.parse(line) : { msg: line });
        if (this.log.at(-1)?.msg === "listening") resolve();
      });
      lines.on("close", () => reject(new Error(`the daemon has ended: ${JSON.stringify(this.log)}`)));
    });
  }

  /** Of one whose log goes elsewhere. */
  async #letsIn(): Promise<void> {
    for (;;) {
      if (this.#process.exitCode !== null)
        throw new Error(`the daemon has ended with status ${this.#process.exitCode}`);
      try {
        return (await connect({ socket: this.socket })).destroy();
      } catch {
        await new Promise(setImmediate);
      }
    }
  }

  /** Resolves when the log has a line with this message, behind the first so many. */
  async logged(message: string, from = 0): Promise<LogLine> {
    for (;;) {
      const line = this.log.slice(from).find(({ msg }) => msg === message);
      if (line) return line;
      if (this.#process.exitCode !== null)
        throw new Error(`the daemon has ended: ${JSON.stringify(this.log)}`);
      await new Promise(setImmediate);
    }
  }

  /** Resolves to the exit status when it has ended by itself, null when a signal has ended it. */
  get exited(): Promise<number | null> {
    return this.#exited;
  }
}
