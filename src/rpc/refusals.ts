import type { Socket } from "node:net";
import type { Logger } from "pino";
import type { Dialect } from "./dialect.ts";
import { isExpected, toErrorObject } from "./errors.ts";

/** Milliseconds that a refused client gets to read why. */
const PATIENCE = 2000;
/** Refused clients that get it at a time: who comes in such numbers is not owed an explanation. */
const AT_A_TIME = 256;

/** Sends connections away that are not let in. */
export class Refusals {
  readonly #log: Logger;
  readonly #sockets = new Set<Socket>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * One line that says why: a client that is dropped without a word looks for the fault in itself. The socket stays
   * until the client has ended too, for one that is still sending would see EPIPE and not the line.
   */
  refuse(socket: Socket, dialect: Dialect, reason: unknown): void {
    const error = toErrorObject(reason);
    this.#log[isExpected(reason) ? "debug" : "error"]({ err: reason }, "connection refused");
    socket.on("error", (err) => this.#log.debug({ err }, "refused connection failed"));
    // Who does not read cannot be told; what waits for it must not go on waiting.
    if (socket.writableLength > 0) {
      socket.destroy();
      return;
    }
    socket.end(dialect.error(undefined, error) + dialect.lineEnd);
    if (this.#sockets.size >= AT_A_TIME) {
      socket.destroySoon();
      return;
    }
    this.#sockets.add(socket);
    const patience = setTimeout(() => socket.destroy(), PATIENCE);
    socket.once("close", () => {
      clearTimeout(patience);
      this.#sockets.delete(socket);
    });
    socket.resume();
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
