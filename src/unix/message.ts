import { addressOf } from "../libc/library.ts";
import { cmsghdr, iovec, msghdr, SOCKET_NUMBERS } from "../uapi/socket.ts";

const { SOL_SOCKET, SCM_RIGHTS } = SOCKET_NUMBERS;

/** Bytes of one descriptor in ancillary data. */
const INT = 4;
/** Ancillary data are aligned to this (`CMSG_ALIGN` on a 64-bit machine). */
const align = (length: number) => (length + 7) & ~7;

/** Bytes that `count` descriptors take as ancillary data (`CMSG_SPACE`). */
export function rightsSpace(count: number): number {
  return count === 0 ? 0 : cmsghdr.size + align(count * INT);
}

/**
 * The argument of sendmsg and recvmsg, with everything it points to, in one piece of memory: whoever holds `block`
 * holds it all.
 */
export class Message {
  /** A `msghdr`, its one `iovec`, the ancillary data, the bytes. */
  readonly block: Buffer;
  readonly #control: Buffer;
  readonly #bytes: Buffer;

  /** Room for `control` bytes of ancillary data and `length` bytes of the stream. */
  constructor(control: number, length: number) {
    const controlAt = msghdr.size + iovec.size;
    const bytesAt = controlAt + align(control);
    this.block = Buffer.alloc(bytesAt + length);
    this.#control = this.block.subarray(controlAt, controlAt + control);
    this.#bytes = this.block.subarray(bytesAt);
    const address = addressOf(this.block);
    const header = msghdr.encode({
      msg_iov: address + BigInt(msghdr.size),
      msg_iovlen: 1n,
      msg_control: control === 0 ? 0n : address + BigInt(controlAt),
      msg_controllen: BigInt(control),
    });
    const vector = iovec.encode({ iov_base: address + BigInt(bytesAt), iov_len: BigInt(length) });
    this.block.set(header, 0);
    this.block.set(vector, msghdr.size);
  }

  /** A message of `bytes` whose first byte carries the descriptors. */
  static of(bytes: Uint8Array, fds: readonly number[]): Message {
    const message = new Message(rightsSpace(fds.length), bytes.length);
    message.#bytes.set(bytes);
    if (fds.length > 0) {
      const length = BigInt(cmsghdr.size + fds.length * INT);
      message.#control.set(
        cmsghdr.encode({ cmsg_len: length, cmsg_level: SOL_SOCKET, cmsg_type: SCM_RIGHTS }),
      );
      fds.forEach((fd, index) => {
        message.#control.writeInt32LE(fd, cmsghdr.size + index * INT);
      });
    }
    return message;
  }

  /** What recvmsg said of the message, MSG_CTRUNC for one. */
  get flags(): number {
    return msghdr.decode(this.block).msg_flags;
  }

  /** A copy of the first `length` bytes of the stream. */
  bytes(length: number): Buffer {
    return Buffer.from(this.#bytes.subarray(0, length));
  }

  /** The descriptors among what recvmsg has put into the ancillary data. */
  fds(): number[] {
    const fds: number[] = [];
    const used = Number(msghdr.decode(this.block).msg_controllen);
    for (let at = 0; at + cmsghdr.size <= used; ) {
      const { cmsg_len, cmsg_level, cmsg_type } = cmsghdr.decode(this.#control.subarray(at));
      const length = Number(cmsg_len);
      if (length < cmsghdr.size) break;
      if (cmsg_level === SOL_SOCKET && cmsg_type === SCM_RIGHTS) {
        for (let each = cmsghdr.size; each + INT <= length; each += INT) {
          fds.push(this.#control.readInt32LE(at + each));
        }
      }
      at += align(length);
    }
    return fds;
  }
}
