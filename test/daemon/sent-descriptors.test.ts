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

/** A client that can send descriptors, as BlockingSocket cannot. */
class Sender {
  readonly #fd = loadSockets().socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC);

  constructor(path: string) {
    const address = Buffer.alloc(2 + SUN_PATH);
    address.writeUInt16LE(AF_UNIX);
    address.write(path, 2);
    expect(loadSockets().connect(this.#fd, address)).toBe(0);
  }

  /** What sendmsg(2) says when a byte is sent with so many descriptors. */
  sends(fds: readonly number[]): number | string {
    const result = loadSockets().sendmsg(this.#fd, Message.of(Buffer.from("\n"), fds).block, MSG_NOSIGNAL);
    return result < 0 ? errnoName(-result) : result;
  }

  /** Waits for the greeting: the daemon knows then who this is. */
  isGreeted(): this {
    expect(loadSockets().recvmsg(this.#fd, new Message(0, 1).block, 0)).toBe(1);
    return this;
  }

  close(): void {
    loadFiles().close(this.#fd);
  }
}

it.skipIf(!canRefuse)(
  "nobody can send descriptors to any of the sockets, to close which might take for ever, before it is known who that is",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "iovad-descriptors-"));
    const [qmp, metrics] = [join(directory, "qmp"), join(directory, "metrics")];
    const topology = { iommus: [], devices: [] };
    const daemon = await Daemon.start({ topology, args: ["--qmp-socket", qmp, "--metrics-socket", metrics] });
    const fd = openSync("/dev/null", "r");
    const senders: Sender[] = [];
    const sender = (path: string) => {
      senders.push(new Sender(path));
      return senders.at(-1) as Sender;
    };
    try {
      // It does not accept meanwhile.
      process.kill(daemon.pid, "SIGSTOP");
      for (const path of [daemon.socket, qmp, metrics]) {
        expect([path, sender(path).sends([fd]), sender(path).sends([])]).toEqual([path, "EPERM", 1]);
      }
      process.kill(daemon.pid, "SIGCONT");
      // This is its own user, who might as well stop it.
      expect(sender(daemon.socket).isGreeted().sends([fd])).toBe(1);
    } finally {
      for (const each of senders) each.close();
      closeSync(fd);
      process.kill(daemon.pid, "SIGCONT");
      await daemon.stop();
      rmSync(directory, { recursive: true });
    }
  },
);
