import { s32, struct, u32, u64 } from "./struct.ts";

/**
 * Unix sockets: `asm-generic/socket.h`, `linux/socket.h`, `asm-generic/sockios.h`, as x86, arm64, riscv and loongarch
 * have them, and the structs of the C library on a 64-bit machine.
 */
export const SOCKET_NUMBERS = {
  AF_UNIX: 1,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOCK_CLOEXEC: 0o2000000,
  SOCK_NONBLOCK: 0o4000,
  SHUT_WR: 1,
  SOL_SOCKET: 1,
  SO_PEERCRED: 17,
  SO_PEERGROUPS: 59,
  SO_PASSRIGHTS: 83,
  SCM_RIGHTS: 1,
  MSG_CTRUNC: 0x8,
  MSG_DONTWAIT: 0x40,
  MSG_NOSIGNAL: 0x4000,
  MSG_CMSG_CLOEXEC: 0x40000000,
  SIOCOUTQ: 0x5411,
} as const;

/** What SO_PEERCRED tells. */
export const ucred = struct("ucred", 12, { pid: s32(0), uid: u32(4), gid: u32(8) });

export const iovec = struct("iovec", 16, {
  /** Pointer to `iov_len` bytes. */
  iov_base: u64(0),
  iov_len: u64(8),
});

export const msghdr = struct("msghdr", 56, {
  msg_name: u64(0),
  msg_namelen: u32(8),
  /** Pointer to `iovec[msg_iovlen]`. */
  msg_iov: u64(16),
  msg_iovlen: u64(24),
  /** Pointer to `cmsghdr`s, `msg_controllen` bytes in all. */
  msg_control: u64(32),
  msg_controllen: u64(40),
  msg_flags: s32(48),
});

/** The head of ancillary data; the data follow, and with them `cmsg_len` counts. */
export const cmsghdr = struct("cmsghdr", 16, { cmsg_len: u64(0), cmsg_level: s32(8), cmsg_type: s32(12) });

/** `sun_path` holds 108 bytes with the final zero. */
export const SUN_PATH = 108;

export const SOCKET_STRUCTS = [ucred, iovec, msghdr, cmsghdr];
