import { struct, u16, u32 } from "./struct.ts";

/** `linux/socket.h`, `asm-generic/errno.h` and `linux/netlink.h`, as x86, arm64, riscv and loongarch have them. */
export const AF_NETLINK = 16;
export const SOCK_RAW = 3;
export const NETLINK_KOBJECT_UEVENT = 15;
/** The multicast group of the kernel's own events; udev repeats them, with its own findings, to group 2. */
export const UEVENT_GROUP_KERNEL = 1;

export const sockaddr_nl = struct("sockaddr_nl", 12, {
  nl_family: u16(0),
  /** 0: the kernel chooses. */
  nl_pid: u32(4),
  /** Bitmap. */
  nl_groups: u32(8),
});
