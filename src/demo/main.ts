import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Client } from "./client.ts";
import { converse } from "./conversation.ts";

const { values } = parseArgs({
  options: {
    host: { type: "string", default: "intel" },
    once: { type: "boolean", default: false },
    socket: { type: "string", default: join(tmpdir(), "iovad-demo.sock") },
  },
});

const topology = fileURLToPath(new URL(`../../src/demo/hosts/${values.host}.json`, import.meta.url));
if (!existsSync(topology)) {
  process.stderr.write(`no simulated host "${values.host}": choose intel, amd or arm\n`);
  process.exit(2);
}

const daemon = spawn(
  process.execPath,
  [fileURLToPath(new URL("../main.js", import.meta.url)), "--simulate", topology, "--socket", values.socket],
  { stdio: ["ignore", "ignore", "pipe"] },
);
// However the demo ends, the daemon does not outlive it.
process.once("exit", () => daemon.kill("SIGTERM"));
await listening();

const client = await Client.connect(values.socket);
const print = (line = "") => process.stdout.write(`${line}\n`);
print(`iovad serves a simulated ${values.host} host.`);
await converse(client, print);
client.close();

if (values.once) daemon.kill("SIGTERM");
else {
  print(`The daemon stays up. From another terminal:

  echo '{"jsonrpc":"2.0","id":1,"method":"query-devices"}' | socat -t5 - UNIX-CONNECT:${values.socket}

Ctrl-C ends it.`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => daemon.kill("SIGTERM"));
}
const [code] = await once(daemon, "exit");
process.exitCode = code ?? 1;

/** Resolves when the daemon's log says that it listens; a daemon that cannot start says why and ends the demo. */
async function listening(): Promise<void> {
  const errors: string[] = [];
  for await (const line of createInterface({ input: daemon.stderr })) {
    if (line.includes('"listening"')) break;
    errors.push(line);
  }
  // From here on nobody reads the log; it must not fill the pipe.
  daemon.stderr.resume();
  if (daemon.exitCode === null && errors.length === 0) return;
  process.stderr.write(`${errors.join("\n")}\n`);
  process.exit(1);
}
