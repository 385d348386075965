import type { Socket } from "node:net";
import { loadSockets } from "../libc/sockets.ts";
import { errnoName } from "../uapi/errno.ts";
import { SOCKET_NUMBERS, ucred } from "../uapi/socket.ts";
import { descriptorOf } from "./handle.ts";

const { SOL_SOCKET, SO_PEERCRED, SO_PEERGROUPS } = SOCKET_NUMBERS;

/** Who has connected, as the kernel noted it at connect(2): what the process does later does not change it. */
export interface Credentials {
  /** 0 for a process of another pid namespace that this one cannot see. */
  readonly pid: number;
  /** Effective. */
  readonly uid: number;
  /** Effective. */
  readonly gid: number;
  /** Supplementary groups; the effective one may be among them. */
  readonly groups: Uint32Array;
}

/** Elements that the first question for groups has room for; the kernel says when it takes more. */
const GROUPS = 32;

/** Who is at the other end of a Unix socket; null when it cannot be told, and nobody should be let in. */
export function peerCredentials(socket: Socket): Credentials | null {
  const fd = descriptorOf(socket);
  if (fd === null) return null;
  const credentials = option(fd, SO_PEERCRED, ucred.size);
  const groups = option(fd, SO_PEERGROUPS, GROUPS * 4);
  if (!credentials || !groups || credentials.length < ucred.size) return null;
  const { pid, uid, gid } = ucred.decode(credentials);
  // (uid_t)-1: the kernel knows no credentials of the peer (net/core/sock.c: cred_to_ucred).
  if (uid === 0xffff_ffff) return null;
  return {
    pid,
    uid,
    gid,
    // There may be 65,536: to make numbers of them all takes as long as the kernel has taken.
    groups: new Uint32Array(groups.buffer, groups.byteOffset, groups.length / 4),
  };
}

/** {@link peerCredentials}, for those who would rather know now that native code cannot be loaded. Throws Error then. */
export function loadPeerCredentials(): typeof peerCredentials {
  loadSockets();
  return peerCredentials;
}

/** An option's value, asked for with `room` bytes and then with as many as it takes; null when the kernel refuses. */
function option(fd: number, name: number, room: number): Buffer | null {
  const value = Buffer.alloc(room);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(room);
  const result = loadSockets().getsockopt(fd, SOL_SOCKET, name, value, length);
  const needed = length.readUInt32LE();
  if (result === 0) return value.subarray(0, needed);
  // net/core/sock.c: sk_getsockopt, SO_PEERGROUPS. The peer's groups are fixed, so a second time is enough.
  return errnoName(-result) === "ERANGE" && needed > room ? option(fd, name, needed) : null;
}
