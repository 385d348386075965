import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { loadFiles } from "../libc/files.ts";
import { loadSockets } from "../libc/sockets.ts";
import { type ErrnoName, errnoName } from "../uapi/errno.ts";
import { SOCKET_NUMBERS } from "../uapi/socket.ts";
import { descriptorOf } from "./handle.ts";
import { Message } from "./message.ts";

const { MSG_DONTWAIT, MSG_NOSIGNAL, SIOCOUTQ } = SOCKET_NUMBERS;

/** A full socket, too many descriptors on their way (unix(7)), no memory: all of them pass. */
const PASSING: ReadonlySet<ErrnoName> = new Set(["EAGAIN", "ETOOMANYREFS", "ENOBUFS", "ENOMEM", "EINTR"]);
/** Node.js cannot wait for a socket to have room without something to write: milliseconds between two tries. */
const RETRY = 20;

/**
 * Sends text whose first byte carries descriptors (SCM_RIGHTS), behind everything that was written to the socket
 * before. Others may go on writing meanwhile: the text is never cut by what they write. The descriptors stay the
 * caller's to close. Rejects when the socket is closed, or when it would have to wait and `signal` says to give up.
 */
export async function sendDescriptors(
  socket: Socket,
  text: string,
  fds: readonly number[],
  signal: AbortSignal,
): Promise<void> {
  const bytes = Buffer.from(text);
  for (;;) {
    // Somebody else may have written before this goes on.
    while (socket.writableLength > 0) await written(socket, signal);
    // From here to the return nothing waits, so nothing can come between the descriptors and the rest of the text.
    const fd = descriptorOf(socket);
    if (fd === null) throw new Error("the connection is closed");
    const sent = loadSockets().sendmsg(fd, Message.of(bytes, fds).block, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      if (sent < bytes.length) socket.write(bytes.subarray(sent));
      return;
    }
    const errno = errnoName(-sent);
    if (!PASSING.has(errno)) throw new Error(`sendmsg: ${errno}`);
    await delay(RETRY, undefined, { signal });
  }
}

/**
 * Whether the peer has not read yet what was sent to it, descriptors included. What it has read without asking for
 * descriptors is gone: the kernel has closed them.
 */
export function hasUnread(socket: Socket): boolean {
  if (socket.writableLength > 0) return true;
  const fd = descriptorOf(socket);
  const count = Buffer.alloc(4);
  return fd !== null && loadFiles().ioctl(fd, SIOCOUTQ, count) === 0 && count.readInt32LE() > 0;
}

/** Resolves when everything that was written has gone to the kernel; rejects as sendDescriptors does. */
async function written(socket: Socket, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const giveUp = () => reject(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    // An empty write is called back after those before it, with an error when the socket is closed.
    socket.write("", (error) => {
      signal.removeEventListener("abort", giveUp);
      if (error) reject(error);
      else resolve();
    });
  });
}
