import type { Worker } from "node:worker_threads";

interface Call<Request, Answer> {
  readonly request: Request;
  resolve(result: Answer): void;
  reject(reason: unknown): void;
}

interface Thread<Request, Answer> {
  readonly worker: Worker;
  call: Call<Request, Answer> | undefined;
  retirement: NodeJS.Timeout | undefined;
}

export interface ThreadPoolOptions {
  /** The script of a thread, an absolute path or a URL: it answers each message with one. */
  readonly script: string | URL;
  /** Calls beyond this many at a time wait for a thread. */
  readonly maxThreads: number;
  /** How long a thread without work is kept, in milliseconds. */
  readonly idleTimeout: number;
}

/**
 * Threads for calls that block, one call per thread at a time, started when needed and retired when idle.
 *
 * A call that was rejected has not been made and never will be: its caller frees memory or reuses a descriptor on
 * the strength of that. (General-purpose pools keep a task queued, or for ever pending, when a thread cannot start.)
 */
export class ThreadPool<Request, Answer = number> {
  readonly #options: ThreadPoolOptions;
  readonly #threads = new Set<Thread<Request, Answer>>();
  readonly #idle: Thread<Request, Answer>[] = [];
  readonly #queue: Call<Request, Answer>[] = [];

  constructor(options: ThreadPoolOptions) {
    this.#options = options;
  }

  /** Threads alive, busy or idle. */
  get size(): number {
    return this.#threads.size;
  }

  /** Makes the call on a thread. Rejects, the call not made, when there is no thread to be had. */
  run(request: Request): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const call = { request, resolve, reject };
      const thread = this.#idle.pop();
      if (thread !== undefined) this.#assign(thread, call);
      else if (this.#threads.size < this.#options.maxThreads) this.#start(call);
      else this.#queue.push(call);
    });
  }

  /** Stops the threads. To be called when no call is under way. */
  async stop(): Promise<void> {
    this.#idle.length = 0;
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()));
  }

  #start(call: Call<Request, Answer>): void {
    let worker: Worker;
    try {
      // Most processes never start one.
      const { Worker } = process.getBuiltinModule("node:worker_threads");
      // The process's own flags (loaders, inspector) are not for a thread of three lines. It opens no descriptor.
      worker = new Worker(this.#options.script, { execArgv: [], trackUnmanagedFds: false });
    } catch (error) {
      // No room for one thread more: wait for one there is, if there is one.
      if (this.#threads.size > 0) this.#queue.push(call);
      else for (const each of [call, ...this.#queue.splice(0)]) each.reject(error);
      return;
    }
    const thread: Thread<Request, Answer> = { worker, call: undefined, retirement: undefined };
    this.#threads.add(thread);
    worker.on("message", (result: Answer) => this.#finish(thread, result));
    // A thread dies on its way up (no memory, no file) or not at all: between the message and the system call
    // nothing can throw. So a call it leaves behind has not been made.
    let reason: unknown = new Error("the thread ended");
    worker.on("error", (error) => {
      reason = error;
    });
    worker.on("exit", () => this.#bury(thread, reason));
    this.#assign(thread, call);
  }

  #assign(thread: Thread<Request, Answer>, call: Call<Request, Answer>): void {
    clearTimeout(thread.retirement);
    thread.call = call;
    thread.worker.ref();
    thread.worker.postMessage(call.request);
  }

  #finish(thread: Thread<Request, Answer>, result: Answer): void {
    thread.call?.resolve(result);
    thread.call = undefined;
    const next = this.#queue.shift();
    if (next !== undefined) {
      this.#assign(thread, next);
      return;
    }
    // An idle thread never keeps the process alive.
    thread.worker.unref();
    this.#idle.push(thread);
    thread.retirement = setTimeout(() => this.#retire(thread), this.#options.idleTimeout).unref();
  }

  #retire(thread: Thread<Request, Answer>): void {
    this.#forget(thread);
    void thread.worker.terminate();
  }

  #bury(thread: Thread<Request, Answer>, reason: unknown): void {
    this.#threads.delete(thread);
    this.#forget(thread);
    thread.call?.reject(reason);
    const next = this.#queue.shift();
    if (next !== undefined) this.#start(next);
  }

  /** From here on no call is given to the thread. */
  #forget(thread: Thread<Request, Answer>): void {
    clearTimeout(thread.retirement);
    const index = this.#idle.indexOf(thread);
    if (index >= 0) this.#idle.splice(index, 1);
  }
}
