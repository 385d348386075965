import { loadFiles } from "../libc/files.ts";
import { loadSockets } from "../libc/sockets.ts";
import { errnoName } from "../uapi/errno.ts";
import { SOCKET_NUMBERS, SUN_PATH } from "../uapi/socket.ts";
import { Message } from "../unix/message.ts";

const { AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_DGRAM } = SOCKET_NUMBERS;

/** Where a service sends notices, each a datagram of lines `NAME=value` (sd_notify(3)). */
export class NotifySocket {
  readonly #files = loadFiles();
  readonly #sockets = loadSockets();
  readonly #fd: number;

  /** `path`: of NOTIFY_SOCKET. Throws Error when nobody is there. */
  constructor(path: string) {
    this.#fd = check("socket", this.#sockets.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC));
    const result = this.#sockets.connect(this.#fd, addressOf(path));
    if (result < 0) this.#files.close(this.#fd);
    check(`connect to ${path}`, result);
  }

  /** Sends a notice with descriptors and returns when it is on its way: it arrives also if this process dies now. */
  send(text: string, fds: readonly number[] = []): void {
    check("sendmsg", this.#sendmsg(text, fds, 0));
  }

  /** Sends a notice, unless it would have to wait for room: for those that the next one makes up for. False: it is not sent. */
  offer(text: string): boolean {
    return this.#sendmsg(text, [], MSG_DONTWAIT) >= 0;
  }

  close(): void {
    this.#files.close(this.#fd);
  }

  #sendmsg(text: string, fds: readonly number[], flags: number): number {
    return this.#sockets.sendmsg(this.#fd, Message.of(Buffer.from(text), fds).block, MSG_NOSIGNAL | flags);
  }
}

/** An abstract name is as long as the address says, so that nothing may follow it (unix(7)). */
function addressOf(path: string): Buffer {
  const name = Buffer.from(path.startsWith("@") ? `\0${path.slice(1)}` : `${path}\0`);
  if (name.length > SUN_PATH) throw new Error(`NOTIFY_SOCKET is longer than ${SUN_PATH} bytes: ${path}`);
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, name]);
}

function check(call: string, result: number): number {
  if (result < 0) throw new Error(`${call}: ${errnoName(-result)}`);
  return result;
}
