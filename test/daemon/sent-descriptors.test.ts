import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadFiles } from "../../src/libc/files.ts";
import { loadSockets } from "../../src/libc/sockets.ts";
import { errnoName } from "../../src/uapi/errno.ts";
import { SOCKET_NUMBERS, SUN_PATH } from "../../src/uapi/socket.ts";
import { Message } from "../../src/unix/message.ts";
import { Daemon } from "./daemon.ts";

const { AF_UNIX, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_STREAM } = SOCKET_NUMBERS;
const [major = 0, minor = 0] = release().split(".").map(Number);
/** Linux 6.16 has brought SO_PASSRIGHTS. */
const canRefuse = major > 6 || (major === 6 && minor >= 16);

/** What sendmsg(2) says when a byte is sent to `path` with so many descriptors: as BlockingSocket cannot. */
function sent(path: string, fds: readonly number[]): number | string {
  const [sockets, files] = [loadSockets(), loadFiles()];
  const fd = sockets.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC);
  const address = Buffer.alloc(2 + SUN_PATH);
  address.writeUInt16LE(AF_UNIX);
  address.write(path, 2);
  try {
    expect(sockets.connect(fd, address)).toBe(0);
    const result = sockets.sendmsg(fd, Message.of(Buffer.from("\n"), fds).block, MSG_NOSIGNAL);
    return result < 0 ? errnoName(-result) : result;
  } finally {
    files.close(fd);
  }
}

it.skipIf(!canRefuse)(
  "nobody can send descriptors to any of the sockets: to close them might take for ever",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "iovad-descriptors-"));
    const [qmp, metrics] = [join(directory, "qmp"), join(directory, "metrics")];
    const topology = { iommus: [], devices: [] };
    const daemon = await Daemon.start({ topology, args: ["--qmp-socket", qmp, "--metrics-socket", metrics] });
    const fd = openSync("/dev/null", "r");
    try {
      for (const path of [daemon.socket, qmp, metrics]) {
        expect([path, sent(path, [fd])]).toEqual([path, "EPERM"]);
        expect([path, sent(path, [])]).toEqual([path, 1]);
      }
    } finally {
      closeSync(fd);
      await daemon.stop();
      rmSync(directory, { recursive: true });
    }
  },
);
