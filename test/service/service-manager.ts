import { unlinkSync } from "node:fs";
import { loadFiles } from "../../src/libc/files.ts";
import { Readiness } from "../../src/libc/readiness.ts";
import { loadSockets } from "../../src/libc/sockets.ts";
import { SOCKET_NUMBERS } from "../../src/uapi/socket.ts";
import { Message, rightsSpace } from "../../src/unix/message.ts";

const { AF_UNIX, MSG_CMSG_CLOEXEC, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_DGRAM } = SOCKET_NUMBERS;
const sockets = loadSockets();
const files = loadFiles();

/** What systemd does with notices, as far as services can tell: a datagram socket, and a store of descriptors. */
export class ServiceManager {
  /** Every notice so far, in order. */
  readonly notices: string[] = [];
  /** What the store has, as it came. */
  readonly store: { readonly name: string; readonly fd: number }[] = [];
  /** Whether it looks at what it is sent. */
  #isAwake = true;
  readonly #path: string;
  readonly #fd: number;
  readonly #readiness: Readiness;
  #heard: () => void = () => {};

  constructor(path: string) {
    this.#path = path;
    this.#fd = sockets.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC);
    const family = Buffer.alloc(2);
    family.writeUInt16LE(AF_UNIX);
    const name = path.startsWith("@") ? `\0${path.slice(1)}` : `${path}\0`;
    const result = sockets.bind(this.#fd, Buffer.concat([family, Buffer.from(name)]));
    if (result < 0) throw new Error(`bind: ${result}`);
    this.#readiness = new Readiness(this.#fd, () => this.#receive());
    this.#readiness.unref();
  }

  /** Resolves when a notice has come that contains the text. */
  async heard(text: string): Promise<void> {
    while (!this.notices.some((notice) => notice.includes(text))) {
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
  }

  sleep(): void {
    this.#isAwake = false;
  }

  wake(): void {
    this.#isAwake = true;
    this.#receive();
  }

  close(): void {
    this.#readiness.close();
    files.close(this.#fd);
    for (const { fd } of this.store) files.close(fd);
    if (!this.#path.startsWith("@")) unlinkSync(this.#path);
  }

  #receive(): void {
    while (this.#isAwake) {
      const message = new Message(rightsSpace(8), 4096);
      const length = sockets.recvmsg(this.#fd, message.block, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
      if (length < 0) return;
      this.#take(message.bytes(length).toString(), message.fds());
      this.#heard();
    }
  }

  #take(text: string, fds: readonly number[]): void {
    this.notices.push(text);
    const values = new Map(text.split("\n").map((line) => line.split("=") as [string, string]));
    const name = values.get("FDNAME") ?? "stored";
    if (values.has("FDSTORE")) {
      this.store.push(...fds.map((fd) => ({ name, fd })));
      return;
    }
    if (values.has("FDSTOREREMOVE")) {
      for (const kept of this.store.filter((each) => each.name === name)) {
        files.close(kept.fd);
        this.store.splice(this.store.indexOf(kept), 1);
      }
    }
    for (const fd of fds) files.close(fd);
  }
}
