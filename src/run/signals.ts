import type { ChildProcess } from "node:child_process";
import { constants } from "node:os";
import { complain } from "../command-line.ts";

/**
 * Every signal that would end or stop this process, or that a program may wait for. Not among them: SIGKILL and SIGSTOP,
 * which nobody can forward; SIGPIPE and SIGXFSZ, which Node.js ignores; the faults of a process itself.
 */
const FORWARDED = [
  ...["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF"],
  ...["SIGIO", "SIGPWR", "SIGSTKFLT", "SIGXCPU", "SIGURG", "SIGWINCH", "SIGCONT", "SIGTSTP"],
] as NodeJS.Signals[];
/** Those that do nothing to who does not wait for them (signal(7)). */
const HARMLESS: ReadonlySet<NodeJS.Signals> = new Set(["SIGURG", "SIGWINCH", "SIGCONT"]);
/** Milliseconds that a program has to stop by itself, its terminal put in order, before it is stopped. */
const GRACE = 100;

/** Passes on to the child what comes for this process, which ends only with it. */
export class Signals {
  #child: ChildProcess | undefined;
  #stopping: NodeJS.Timeout | undefined;

  /** From now on. Without a child a signal does what it does to any process. */
  constructor() {
    for (const signal of FORWARDED) process.on(signal, () => this.#take(signal));
  }

  forwardTo(child: ChildProcess): void {
    this.#child = child;
    // What is to stop this process must not hold up its end.
    child.once("exit", () => clearTimeout(this.#stopping));
  }

  #take(signal: NodeJS.Signals): void {
    if (!this.#child) {
      if (signal === "SIGTSTP") process.kill(process.pid, "SIGSTOP");
      else if (!HARMLESS.has(signal)) process.exit(128 + constants.signals[signal]);
      return;
    }
    this.#pass(this.#child, signal);
    if (signal !== "SIGTSTP" && signal !== "SIGCONT") return;
    clearTimeout(this.#stopping);
    if (signal === "SIGTSTP") this.#stopping = setTimeout(this.#stop, GRACE, this.#child);
  }

  /** The child too: it may ignore SIGTSTP, and in a process group without a shell the kernel does so for it. */
  readonly #stop = (child: ChildProcess) => {
    this.#pass(child, "SIGSTOP");
    process.kill(process.pid, "SIGSTOP");
  };

  /** Not by child.kill(), which tells of a failure as if the child had failed. */
  #pass({ pid, exitCode, signalCode }: ChildProcess, signal: NodeJS.Signals): void {
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    try {
      process.kill(pid, signal);
    } catch (error) {
      complain("iovad-run", `${signal} cannot be passed on: ${(error as NodeJS.ErrnoException).code}`);
    }
  }
}
