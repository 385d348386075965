import { constants } from "node:os";
import { loadFiles } from "../../src/libc/files.ts";
import { loadSockets } from "../../src/libc/sockets.ts";
import { type ErrnoName, errnoName } from "../../src/uapi/errno.ts";
import { SOCKET_NUMBERS, SUN_PATH } from "../../src/uapi/socket.ts";
import { Message, rightsSpace } from "../../src/unix/message.ts";

const { AF_UNIX, MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_STREAM } = SOCKET_NUMBERS;
const sockets = loadSockets();
const files = loadFiles();

const READ_SIZE = 64 * 1024;
/** The kernel passes at most this many with one message (`include/net/scm.h: SCM_MAX_FD`). */
const MAX_DESCRIPTORS = 253;

/** A failed call on a socket; `code` is the errno's name. */
class SocketError extends Error {
  override readonly name = "SocketError";
  readonly code: ErrnoName;

  constructor(call: string, errno: number) {
    const code = errnoName(errno);
    super(`${call}: ${code}`);
    this.code = code;
  }
}

/**
 * The client's end of a Unix socket that reads when it is told to and not before, descriptors with the bytes. Every call
 * waits, and the whole process with it. All descriptors are close-on-exec.
 */
export class BlockingSocket {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** @throws SocketError, RangeError for a path that is too long */
  static connect(path: string): BlockingSocket {
    const name = Buffer.from(path);
    if (name.length >= SUN_PATH) throw new RangeError(`the socket path is longer than ${SUN_PATH - 1} bytes`);
    const address = Buffer.alloc(2 + SUN_PATH);
    address.writeUInt16LE(AF_UNIX);
    name.copy(address, 2);
    const fd = check("socket", sockets.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC));
    const result = sockets.connect(fd, address);
    if (result < 0) files.close(fd);
    check("connect", result);
    return new BlockingSocket(fd);
  }

  /** Sends everything. @throws SocketError */
  send(text: string): void {
    let bytes: Uint8Array = Buffer.from(text);
    while (bytes.length > 0) {
      const sent = check("sendmsg", sockets.sendmsg(this.#fd, Message.of(bytes, []).block, MSG_NOSIGNAL));
      bytes = bytes.subarray(sent);
    }
  }

  /**
   * The next bytes, none at the end of the stream, and the descriptors that came with them: the caller's to close.
   * Bytes that follow those with descriptors come with the next call (unix(7)).
   * @throws SocketError
   */
  receive(): { bytes: Buffer; fds: number[] } {
    const message = new Message(rightsSpace(MAX_DESCRIPTORS), READ_SIZE);
    const length = check("recvmsg", sockets.recvmsg(this.#fd, message.block, MSG_CMSG_CLOEXEC));
    const fds = message.fds();
    if (message.flags & MSG_CTRUNC) {
      // The kernel has dropped some, for want of room in this process's table: what is left is not what was sent.
      for (const fd of fds) files.close(fd);
      throw new SocketError("recvmsg", constants.errno.EMFILE);
    }
    return { bytes: message.bytes(length), fds };
  }

  close(): void {
    files.close(this.#fd);
  }
}

function check(call: string, result: number): number {
  if (result < 0) throw new SocketError(call, -result);
  return result;
}
