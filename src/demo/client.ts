import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { JSONRPCClient } from "json-rpc-2.0";

/** A client of the daemon's socket, as short as one can be: a line out, a line in. */
export class Client {
  readonly #socket: Socket;
  readonly #rpc: JSONRPCClient;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#rpc = new JSONRPCClient((request) => void socket.write(`${JSON.stringify(request)}\n`));
    createInterface({ input: socket }).on("line", (line) => {
      const message = JSON.parse(line);
      if ("id" in message) this.#rpc.receive(message);
    });
    socket.on("close", () => this.#rpc.rejectAllPendingRequests("the daemon has closed the connection"));
  }

  static async connect(path: string): Promise<Client> {
    const socket = connect(path);
    await once(socket, "connect");
    return new Client(socket);
  }

  /** Rejects with the error object of the answer. */
  call<Result>(method: string, params: object = {}): Promise<Result> {
    return Promise.resolve(this.#rpc.request(method, params));
  }

  /** Sends what is left and ends the connection. */
  close(): void {
    this.#socket.end();
  }

  /** Drops the connection, with whatever is under way on it. */
  destroy(): void {
    this.#socket.destroy();
  }
}
