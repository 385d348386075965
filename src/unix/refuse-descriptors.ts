import type { Server } from "node:net";
import { loadSockets } from "../libc/sockets.ts";
import { SOCKET_NUMBERS } from "../uapi/socket.ts";
import { descriptorOf } from "./handle.ts";

const { SOL_SOCKET, SO_PASSRIGHTS } = SOCKET_NUMBERS;

/**
 * Lets nobody send descriptors to a server that listens, nor to its connections from now on: who tries gets EPERM
 * (net/unix/af_unix.c: unix_may_passrights). What is sent along is closed in the read(2) that finds it, and to close what a
 * client has made may take as long as the client likes: a TCP socket with SO_LINGER, for one. Linux before 6.16 has no
 * such option, and lets them.
 */
export function refuseDescriptors(server: Server): void {
  const fd = descriptorOf(server);
  if (fd !== null) loadSockets().setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, Buffer.alloc(4));
}
