import { constants } from "node:os";
import { loadFiles } from "../libc/files.ts";
import { Readiness } from "../libc/readiness.ts";
import { loadSockets } from "../libc/sockets.ts";
import { errnoName } from "../uapi/errno.ts";
import { SOCKET_NUMBERS, SUN_PATH } from "../uapi/socket.ts";
import { Message, rightsSpace } from "../unix/message.ts";
import type { Sink, Transport } from "./transport.ts";

const { AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } = SOCKET_NUMBERS;
const { MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_NOSIGNAL, SHUT_WR } = SOCKET_NUMBERS;
const sockets = loadSockets();
const files = loadFiles();

const READ_SIZE = 64 * 1024;
/** The kernel passes at most this many with one message (`include/net/scm.h: SCM_MAX_FD`). */
const MAX_DESCRIPTORS = 253;
/** What a call says that would have to wait, or was disturbed. */
const LATER: ReadonlySet<number> = new Set([-constants.errno.EAGAIN, -constants.errno.EINTR]);

/**
 * The client's end of a Unix socket that can be given descriptors, as Node's own cannot. All descriptors are
 * close-on-exec.
 */
export class DescriptorSocket implements Transport {
  readonly #fd: number;
  readonly #sink: Sink;
  readonly #readiness: Readiness;
  #unsent: Buffer[] = [];
  #isEnding = false;
  #isClosed = false;

  private constructor(fd: number, sink: Sink) {
    this.#fd = fd;
    this.#sink = sink;
    this.#readiness = new Readiness(fd, () => this.#ready());
  }

  /**
   * `path` has fewer than SUN_PATH bytes. Throws an error whose `code` is the errno's name: EAGAIN when the queue of
   * those who wait to be accepted is full.
   */
  static connect(path: string, sink: Sink): DescriptorSocket {
    const address = Buffer.alloc(2 + SUN_PATH);
    address.writeUInt16LE(AF_UNIX);
    address.write(path, 2);
    const fd = check("socket", sockets.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK));
    try {
      check("connect", sockets.connect(fd, address));
      return new DescriptorSocket(fd, sink);
    } catch (error) {
      files.close(fd);
      throw error;
    }
  }

  write(text: string): void {
    if (this.#isClosed || this.#isEnding) return;
    this.#unsent.push(Buffer.from(text));
    if (this.#unsent.length === 1) this.#send();
  }

  end(): void {
    if (this.#isClosed || this.#isEnding) return;
    this.#isEnding = true;
    if (this.#unsent.length === 0) sockets.shutdown(this.#fd, SHUT_WR);
  }

  destroy(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unsent = [];
    this.#readiness.close();
    files.close(this.#fd);
  }

  #ready(): void {
    if (this.#unsent.length > 0) this.#send();
    if (!this.#isClosed) this.#receive();
  }

  /** As much as there is room for. What cannot be sent at all, reading tells the reason of. */
  #send(): void {
    for (let bytes = this.#unsent[0]; bytes; bytes = this.#unsent[0]) {
      const sent = sockets.sendmsg(this.#fd, Message.of(bytes, []).block, MSG_NOSIGNAL);
      if (sent < 0 && LATER.has(sent)) break;
      if (sent < 0) this.#unsent = [];
      else if (sent < bytes.length) this.#unsent[0] = bytes.subarray(sent);
      else this.#unsent.shift();
    }
    this.#readiness.awaitRoom(this.#unsent.length > 0);
    if (this.#isEnding && this.#unsent.length === 0) sockets.shutdown(this.#fd, SHUT_WR);
  }

  /** Once: when there is more, it is called again. */
  #receive(): void {
    const message = new Message(rightsSpace(MAX_DESCRIPTORS), READ_SIZE);
    const length = sockets.recvmsg(this.#fd, message.block, MSG_CMSG_CLOEXEC);
    if (LATER.has(length)) return;
    const fds = message.fds();
    if (length < 0) this.#end(failure("recvmsg", -length));
    else if (length === 0) this.#end();
    else if (message.flags & MSG_CTRUNC) {
      // The kernel has dropped some, for want of room in this process's table: what is left is not what was sent.
      for (const fd of fds) files.close(fd);
      this.#end(failure("recvmsg", constants.errno.EMFILE));
    } else this.#sink.received(message.bytes(length), fds);
  }

  #end(error?: Error): void {
    this.destroy();
    this.#sink.ended(error);
  }
}

/** A Dial by a socket that is given descriptors. */
export async function dialForDescriptors(path: string, sink: Sink): Promise<Transport> {
  return DescriptorSocket.connect(path, sink);
}

function check(call: string, result: number): number {
  if (result < 0) throw failure(call, -result);
  return result;
}

function failure(call: string, errno: number): NodeJS.ErrnoException {
  const code = errnoName(errno);
  return Object.assign(new Error(`${call}: ${code}`), { code });
}
