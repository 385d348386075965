import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** A command on a pseudo-terminal, by script(1) of util-linux; typed into, and read from. */
export class Terminal {
  text = "";
  readonly #child: ChildProcess;
  #wake = () => {};

  constructor(command: string, env: NodeJS.ProcessEnv = {}) {
    this.#child = spawn("script", ["-qec", command, "/dev/null"], {
      env: { ...process.env, TERM: "xterm", NO_COLOR: undefined, ...env },
      stdio: ["pipe", "pipe", "ignore"],
    });
    this.#child.stdout?.on("data", (bytes) => {
      this.text += bytes;
      this.#wake();
    });
    this.#child.once("close", () => this.#wake());
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Resolves to what has come since the last call, as soon as it matches. */
  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.text)) {
      if (this.#child.exitCode !== null) throw new Error(`it ended without ${pattern}: ${this.text}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const seen = this.text;
    this.text = "";
    return seen;
  }

  /** Resolves to all of the output, and the exit status. */
  async end(): Promise<{ status: number | null; text: string }> {
    this.#child.stdin?.end();
    const [status] = await once(this.#child, "close");
    return { status, text: this.text };
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}
