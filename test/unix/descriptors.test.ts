import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { loadSockets } from "../../src/libc/sockets.ts";
import { SOCKET_NUMBERS, SUN_PATH } from "../../src/uapi/socket.ts";
import { descriptorOf } from "../../src/unix/handle.ts";
import { Message, rightsSpace } from "../../src/unix/message.ts";
import { hasUnread, sendDescriptors } from "../../src/unix/send-descriptors.ts";
import { BlockingSocket } from "./blocking-socket.ts";
import { Receiver } from "./receiver.ts";

const { AF_UNIX, MSG_CMSG_CLOEXEC, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_STREAM } = SOCKET_NUMBERS;

const directory = mkdtempSync(join(tmpdir(), "iovad-"));
const path = join(directory, "s");
const server = createServer();
const receivers: Receiver[] = [];
const sockets: Socket[] = [];
const files = ["/dev/null", "/dev/zero"].map((name) => openSync(name, "r+"));

beforeAll(async () => {
  server.listen(path);
  await once(server, "listening");
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(receivers.splice(0).map((receiver) => receiver.kill()));
});
afterAll(() => {
  server.close();
  for (const fd of files) closeSync(fd);
  rmSync(directory, { recursive: true });
});

async function accepted(): Promise<Socket> {
  const [socket] = (await once(server, "connection")) as [Socket];
  sockets.push(socket);
  socket.on("error", () => {});
  return socket;
}

async function receiver(options: { delay?: number } = {}) {
  const reader = new Receiver(path, options);
  receivers.push(reader);
  return { reader, socket: await accepted() };
}

const never = new AbortController().signal;
const NULL = { target: "/dev/null", closesOnExec: true };
const ZERO = { target: "/dev/zero", closesOnExec: true };

describe("sendDescriptors", () => {
  it("passes descriptors in order, with the first byte of their text", async () => {
    const reader = loadSockets().socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC);
    const address = Buffer.alloc(2 + SUN_PATH);
    address.writeUInt16LE(AF_UNIX);
    address.write(path, 2);
    expect(loadSockets().connect(reader, address)).toBe(0);
    const socket = await accepted();
    socket.write("a");
    await sendDescriptors(socket, "bc", files, never);
    socket.write("d");
    const bytes = Array.from("abcd", () => {
      const message = new Message(rightsSpace(8), 1);
      loadSockets().recvmsg(reader, message.block, MSG_CMSG_CLOEXEC);
      const targets = message.fds().map((fd) => readlinkSync(`/proc/self/fd/${fd}`));
      for (const fd of message.fds()) closeSync(fd);
      return [String(message.bytes(1)), targets];
    });
    closeSync(reader);
    expect(bytes).toEqual([
      ["a", []],
      ["b", ["/dev/null", "/dev/zero"]],
      ["c", []],
      ["d", []],
    ]);
  });

  it("passes descriptors that an exec of the receiver closes", async () => {
    const { reader, socket } = await receiver();
    await sendDescriptors(socket, "with\n", files, never);
    socket.write("after\n");
    expect(await reader.next()).toEqual({ text: "with", fds: [NULL, ZERO] });
    expect(await reader.next()).toEqual({ text: "after", fds: [] });
  });

  it("keeps every line whole and in order when the reader is far behind", async () => {
    const { reader, socket } = await receiver({ delay: 300 });
    const fill = "x".repeat(300_000);
    socket.write(`${fill}\n`);
    const sent = sendDescriptors(socket, `${"y".repeat(2_000_000)}\n`, files, never);
    // Written while the descriptors wait for room: it goes ahead of them.
    socket.write("meanwhile\n");
    await sent;
    socket.write("after\n");
    expect((await reader.next())?.text).toBe(fill);
    expect(await reader.next()).toMatchObject({ text: "meanwhile" });
    const line = await reader.next();
    expect(line?.text).toBe("y".repeat(2_000_000));
    expect(await reader.next()).toEqual({ text: "after", fds: [] });
  });

  it("waits when the socket is full although nothing waits in Node.js", async () => {
    const { reader, socket } = await receiver({ delay: 300 });
    const fd = descriptorOf(socket) as number;
    const filler = Message.of(Buffer.from("z\n"), []);
    while (loadSockets().sendmsg(fd, filler.block, MSG_DONTWAIT) > 0);
    expect(socket.writableLength).toBe(0);
    await sendDescriptors(socket, "with\n", files, never);
    const fds: object[] = [];
    for (let line = await reader.next(); line; line = await reader.next()) {
      fds.push(...line.fds);
      if (line.text === "with") break;
    }
    expect(fds).toEqual([NULL, ZERO]);
  });

  it("rejects when the reader goes away while it waits", async () => {
    const { reader, socket } = await receiver({ delay: 60_000 });
    socket.write("x".repeat(3_000_000));
    const sent = sendDescriptors(socket, "with\n", files, never);
    await Promise.all([expect(sent).rejects.toThrow(), reader.kill()]);
  });

  it("rejects on a socket that is closed", async () => {
    const { socket } = await receiver();
    socket.destroy();
    await expect(sendDescriptors(socket, "with\n", files, never)).rejects.toThrow("closed");
  });

  it("gives up when it is told to", async () => {
    const { socket } = await receiver({ delay: 60_000 });
    socket.write("x".repeat(3_000_000));
    const patience = new AbortController();
    const sent = sendDescriptors(socket, "with\n", files, patience.signal);
    patience.abort(new Error("enough"));
    await expect(sent).rejects.toThrow("enough");
  });

  it("rejects a descriptor that is not open, and the connection is as it was", async () => {
    const { reader, socket } = await receiver();
    await expect(sendDescriptors(socket, "with\n", [1 << 30], never)).rejects.toThrow("EBADF");
    socket.write("after\n");
    expect(await reader.next()).toEqual({ text: "after", fds: [] });
  });

  it("leaves nothing open here, nor at a reader that does not ask for descriptors", async () => {
    const client = connect(path);
    const socket = await accepted();
    const open = () => readdirSync("/proc/self/fd").length;
    const before = open();
    await sendDescriptors(socket, "with\n", files, never);
    const [chunk] = await once(client, "data");
    expect(String(chunk)).toBe("with\n");
    expect(open()).toBe(before);
    client.destroy();
  });
});

describe("hasUnread", () => {
  it("is true from the sending until the peer has read, descriptors asked for or not", async () => {
    const client = BlockingSocket.connect(path);
    const socket = await accepted();
    expect(hasUnread(socket)).toBe(false);
    await sendDescriptors(socket, "with\n", files, never);
    expect(hasUnread(socket)).toBe(true);
    const { bytes, fds } = client.receive();
    expect(hasUnread(socket)).toBe(false);
    expect(String(bytes)).toBe("with\n");
    expect(fds.map((fd) => readlinkSync(`/proc/self/fd/${fd}`))).toEqual(["/dev/null", "/dev/zero"]);
    for (const fd of fds) closeSync(fd);
    client.close();
  });
});
