import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { peerCredentials } from "../../src/unix/credentials.ts";

const directory = mkdtempSync(join(tmpdir(), "iovad-"));
const path = join(directory, "s");
const server = createServer();
const clients: ChildProcess[] = [];

beforeAll(async () => {
  const umask = process.umask(0);
  server.listen(path);
  await once(server, "listening");
  process.umask(umask);
  chmodSync(directory, 0o755);
});
afterAll(() => {
  for (const client of clients) client.kill();
  server.close();
  rmSync(directory, { recursive: true });
});

/** A process that connects, behind `prefix`, and stays. */
async function connected(...prefix: string[]): Promise<{ socket: Socket; client: ChildProcess }> {
  const program = "require('node:net').connect(process.argv[1]).resume()";
  const [command = "", ...args] = [...prefix, process.execPath, "--eval", program, path];
  const client = spawn(command, args, { stdio: ["ignore", "ignore", "inherit"] });
  clients.push(client);
  const [socket] = (await once(server, "connection")) as [Socket];
  return { socket, client };
}

it("tells the process, the user and the groups of this very user", async () => {
  const { socket, client } = await connected();
  const credentials = peerCredentials(socket);
  expect(credentials).toMatchObject({
    pid: client.pid,
    uid: process.geteuid?.(),
    gid: process.getegid?.(),
  });
  // Node's getgroups() adds the effective one; the kernel's own list is in /proc.
  const [, groups = ""] = /^Groups:(.*)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  expect(credentials?.groups).toEqual(Uint32Array.from(groups.trim().split(" ").filter(Boolean), Number));
});

it("knows nobody at the other end of a socket that is closed", async () => {
  const { socket } = await connected();
  socket.destroy();
  expect(peerCredentials(socket)).toBeNull();
});

it("knows nobody when Node.js does not tell the socket's descriptor", () => {
  expect(peerCredentials({ _handle: {} } as unknown as Socket)).toBeNull();
});

// Only root can become others; what follows from who somebody is has tests with made-up credentials.
describe.skipIf(process.geteuid?.() !== 0)("another user", () => {
  const as = (...options: string[]) =>
    connected("setpriv", "--reuid=65534", "--regid=65533", ...options, "--");

  it("is told with its user, its group and its supplementary groups", async () => {
    const { socket, client } = await as("--groups=1001,1002,65533");
    expect(peerCredentials(socket)).toEqual({
      pid: client.pid,
      uid: 65534,
      gid: 65533,
      groups: Uint32Array.of(1001, 1002, 65533),
    });
  });

  it("may have no supplementary group", async () => {
    const { socket } = await as("--clear-groups");
    expect(peerCredentials(socket)?.groups).toEqual(new Uint32Array());
  });

  it("may have more groups than fit into the first question", async () => {
    const groups = Array.from({ length: 300 }, (_, index) => 2000 + index);
    const { socket } = await as(`--groups=${groups.join(",")}`);
    expect(peerCredentials(socket)?.groups).toEqual(Uint32Array.from(groups));
  });

  it("is who it was when it connected, whoever it becomes later", async () => {
    const program =
      "const s=require('node:net').connect(process.argv[1],()=>{process.setuid(65534);s.write('x')}).resume()";
    const client = spawn(process.execPath, ["--eval", program, path], { stdio: "inherit" });
    clients.push(client);
    const [socket] = (await once(server, "connection")) as [Socket];
    await once(socket, "data");
    expect(peerCredentials(socket)).toMatchObject({ pid: client.pid, uid: 0 });
  });
});
