import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";

/** An event as it came. */
export interface Heard {
  readonly event: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** A connection that only subscribes, and keeps every event in order. */
export class Listener {
  readonly heard: Heard[] = [];
  readonly #socket: Socket;
  #waiting: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Resolves when the subscription is answered: from then on nothing is missed. */
  static async subscribe(path: string): Promise<Listener> {
    const socket = connect(path);
    const listener = new Listener(socket);
    const answered = new Promise<void>((resolve) => {
      createInterface({ input: socket }).on("line", (line) => {
        const { id, method: event, params } = JSON.parse(line);
        if (id === 1) resolve();
        if (event === undefined || event === "greeting") return;
        listener.heard.push({ event, params });
        for (const wake of listener.#waiting.splice(0)) wake();
      });
    });
    socket.write('{"jsonrpc":"2.0","id":1,"method":"subscribe"}\n');
    await answered;
    return listener;
  }

  /** Resolves when an event of that name is there, with these params at least, among those heard since `from`. */
  async until(event: string, params: object, from = 0): Promise<void> {
    const isIt = (each: Heard) =>
      each.event === event && Object.entries(params).every(([name, value]) => each.params[name] === value);
    while (!this.heard.slice(from).some(isIt)) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}
