import type { Server, Socket } from "node:net";
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
  passRights(server, 0);
}

/** From now on this client may: what it sends along is closed. For who could as well stop the daemon. */
export function acceptDescriptors(socket: Socket): void {
  passRights(socket, 1);
}

function passRights(socket: Server | Socket, value: 0 | 1): void {
  const fd = descriptorOf(socket);
  if (fd === null) return;
  const int = Buffer.alloc(4);
  int.writeInt32LE(value);
  loadSockets().setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, int);
}
