import { readSync } from "node:fs";
import { basename } from "node:path/posix";
import { type Files, loadFiles } from "../../libc/files.ts";
import { whenReadable } from "../../libc/readiness.ts";
import { loadSockets } from "../../libc/sockets.ts";
import { errnoName } from "../../uapi/errno.ts";
import {
  AF_NETLINK,
  NETLINK_KOBJECT_UEVENT,
  SOCK_RAW,
  sockaddr_nl,
  UEVENT_GROUP_KERNEL,
} from "../../uapi/netlink.ts";
import { SOCKET_NUMBERS } from "../../uapi/socket.ts";
import { type DeviceEvent, SystemCallError } from "../kernel.ts";

/** What the kernel tells of devices, for as long as it is listened to. */
export interface Uevents {
  close(): void;
}

/** More than a message has (`include/linux/kobject.h: UEVENT_BUFFER_SIZE`, and a path). */
const ROOM = 16 * 1024;

/**
 * The buses whose devices get IOMMU groups (`drivers/iommu/iommu.c: iommu_buses`), mediated devices, and VFIO's own
 * class, whose entries go before a driver's unbind begins to wait for the last close.
 */
const SUBSYSTEMS: ReadonlySet<string> = new Set([
  "amba",
  "cdx",
  "fsl-mc",
  "host1x",
  "mdev",
  "pci",
  "platform",
  "vfio-dev",
]);

/**
 * Listens to what the kernel tells of devices that can have an IOMMU group, and of the drivers on them. In a user
 * namespace of its own a network namespace hears nothing (`lib/kobject_uevent.c: uevent_net_init`).
 * Throws SystemCallError.
 */
export function openUevents(heard: (event: DeviceEvent) => void): Uevents {
  const { close } = loadFiles();
  const fd = openSocket(close);
  try {
    const stop = whenReadable(fd, () => readAll(fd).forEach(heard));
    return {
      close() {
        stop();
        close(fd);
      },
    };
  } catch (error) {
    close(fd);
    throw Object.assign(new SystemCallError("ENOMEM", "epoll_ctl"), { cause: error });
  }
}

function openSocket(close: Files["close"]): number {
  const sockets = loadSockets();
  const type = SOCK_RAW | SOCKET_NUMBERS.SOCK_NONBLOCK | SOCKET_NUMBERS.SOCK_CLOEXEC;
  const fd = sockets.socket(AF_NETLINK, type, NETLINK_KOBJECT_UEVENT);
  if (fd < 0) throw new SystemCallError(errnoName(-fd), "socket");
  const address = sockaddr_nl.encode({ nl_family: AF_NETLINK, nl_groups: UEVENT_GROUP_KERNEL });
  const result = sockets.bind(fd, address);
  if (result === 0) return fd;
  close(fd);
  throw new SystemCallError(errnoName(-result), "bind");
}

/** The events that wait and concern devices. */
function readAll(fd: number): DeviceEvent[] {
  const events: DeviceEvent[] = [];
  const message = Buffer.alloc(ROOM);
  for (;;) {
    try {
      const length = readSync(fd, message);
      events.push(...parseUevent(message.toString("latin1", 0, length)));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EAGAIN") return events;
      events.push({ action: "lost", device: "" });
      if (code !== "ENOBUFS") return events;
    }
  }
}

/** A message is `add@/devices/…`, then NAME=VALUE, each with a zero behind it. Empty when it concerns no device. */
export function parseUevent(message: string): DeviceEvent[] {
  const [head = "", ...lines] = message.split("\0");
  const subsystem = lines.find((line) => line.startsWith("SUBSYSTEM="))?.slice("SUBSYSTEM=".length);
  const [, action, path] = /^(\w+)@(\/.*)$/.exec(head) ?? [];
  if (action === undefined || path === undefined || !SUBSYSTEMS.has(subsystem ?? "")) return [];
  return [{ action, device: basename(path) }];
}
