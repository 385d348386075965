import { connect } from "node:net";

/** A byte stream to the daemon. */
export interface Transport {
  /** Sends the text, behind what was written before. */
  write(text: string): void;
  /** Sends what is left and then the end; what the daemon still has to say is received. */
  end(): void;
  /** Drops everything. Nothing more is received. */
  destroy(): void;
}

/** Who takes what comes. */
export interface Sink {
  /** Bytes of the stream; descriptors belong to the last line that begins in them, and are the sink's to close. */
  received(bytes: Buffer, fds: readonly number[]): void;
  /** Nothing more comes, for an error's sake or because the daemon has ended. Once, and not after destroy(). */
  ended(error?: Error): void;
}

/** Resolves when the daemon's end of the stream is there; rejects with an error whose `code` is the errno's name. */
export type Dial = (path: string, sink: Sink) => Promise<Transport>;

/** By Node's own sockets: what comes with descriptors loses them, and the kernel closes them. */
export const dial: Dial = (path, sink) =>
  new Promise((resolve, reject) => {
    const socket = connect(path);
    let failure: Error | undefined;
    socket.on("error", (error) => {
      failure = error;
      reject(error);
    });
    socket.on("data", (bytes: Buffer) => sink.received(bytes, []));
    socket.once("connect", () => {
      let isDropped = false;
      socket.once("close", () => isDropped || sink.ended(failure));
      resolve({
        write: (text) => void socket.write(text),
        end: () => void socket.end(),
        destroy() {
          isDropped = true;
          socket.destroy();
        },
      });
    });
  });
