import { lazily } from "../lazily.ts";
import { loadLibrary, type Pointer } from "./library.ts";

/** The system calls on sockets that Node.js has no function for. Each returns the call's result, or `-errno`. */
export interface Sockets {
  socket(domain: number, type: number, protocol?: number): number;
  bind(fd: number, address: Uint8Array): number;
  connect(fd: number, address: Uint8Array): number;
  /** `length` holds the room in `value` in bytes, and then what was used, or would have been (ERANGE). */
  getsockopt(fd: number, level: number, option: number, value: Uint8Array, length: Uint8Array): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array): number;
  sendmsg(fd: number, message: Pointer, flags: number): number;
  recvmsg(fd: number, message: Pointer, flags: number): number;
  shutdown(fd: number, how: number): number;
}

/** Throws Error where native code cannot be loaded. */
export const loadSockets = lazily((): Sockets => {
  const bind = loadLibrary();
  const bindSocket = bind("int bind(int fd, void *address, unsigned int length)");
  const socket = bind("int socket(int domain, int type, int protocol)");
  const connect = bind("int connect(int fd, void *address, unsigned int length)");
  const getsockopt = bind("int getsockopt(int fd, int level, int option, void *value, void *length)");
  const setsockopt = bind("int setsockopt(int fd, int level, int option, void *value, unsigned int length)");
  const sendmsg = bind("long sendmsg(int fd, void *message, int flags)");
  const recvmsg = bind("long recvmsg(int fd, void *message, int flags)");
  const shutdown = bind("int shutdown(int fd, int how)");
  return {
    socket: (domain, type, protocol = 0) => socket(domain, type, protocol),
    bind: (fd, address) => bindSocket(fd, address, address.length),
    connect: (fd, address) => connect(fd, address, address.length),
    getsockopt: (fd, level, option, value, length) => getsockopt(fd, level, option, value, length),
    setsockopt: (fd, level, option, value) => setsockopt(fd, level, option, value, value.length),
    sendmsg: (fd, message, flags) => sendmsg(fd, message, flags),
    recvmsg: (fd, message, flags) => recvmsg(fd, message, flags),
    shutdown: (fd, how) => shutdown(fd, how),
  };
});
