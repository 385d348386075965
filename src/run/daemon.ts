import { BlockingSocket } from "../unix/blocking-socket.ts";

/** The daemon's refusal. */
export class Refusal extends Error {
  override readonly name = "Refusal";
}

/** A connection to the daemon: one request at a time, each waited for, with the descriptors that its answer carries. */
export class Daemon {
  readonly #socket: BlockingSocket;
  #unread = Buffer.alloc(0);
  #id = 0;

  private constructor(socket: BlockingSocket) {
    this.#socket = socket;
  }

  /** @throws Refusal, SocketError, RangeError */
  static connect(path: string): Daemon {
    const daemon = new Daemon(BlockingSocket.connect(path));
    const { message } = daemon.#receive();
    // Who is not let in gets an error without a request.
    if (message.error !== undefined) throw refusal(message.error);
    if (message.method !== "greeting") throw new Refusal(`what listens at ${path} is not iovad`);
    return daemon;
  }

  /** Resolves when the daemon has answered. The descriptors are the caller's to close. @throws Refusal, SocketError */
  call(method: string, params: object): number[] {
    const id = ++this.#id;
    this.#socket.send(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    for (;;) {
      const { message, fds } = this.#receive();
      if (message.id !== id) continue;
      if (message.error !== undefined) throw refusal(message.error);
      return fds;
    }
  }

  #receive(): { message: Message; fds: number[] } {
    const fds: number[] = [];
    for (;;) {
      const end = this.#unread.indexOf("\n");
      if (end >= 0) {
        const line = this.#unread.toString("utf8", 0, end);
        this.#unread = this.#unread.subarray(end + 1);
        return { message: JSON.parse(line), fds };
      }
      const received = this.#socket.receive();
      if (received.bytes.length === 0) throw new Refusal("the daemon has closed the connection");
      this.#unread = Buffer.concat([this.#unread, received.bytes]);
      fds.push(...received.fds);
    }
  }
}

interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly error?: { readonly message: string; readonly data?: { readonly class?: string } };
}

function refusal({ message, data }: NonNullable<Message["error"]>): Refusal {
  return new Refusal(data?.class === undefined ? message : `${data.class}: ${message}`);
}
