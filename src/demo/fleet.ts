import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { connect } from "../client/index.ts";
import { ended, startDaemon } from "./daemon.ts";
import { FLEET_HOSTS } from "./fleet-hosts.ts";

const CTL = fileURLToPath(new URL("../ctl/main.js", import.meta.url));
const FLEET = fileURLToPath(new URL("../fleet/main.js", import.meta.url));

/** Columns of what is printed. */
const WIDTH = "98";
/** The host that stands out, and the guest that is to move. */
const ODD = "arm";
const GUEST = ["-m", "16G"];

type Print = (line?: string) => void;

/** A host of the fleet: its daemon, and the publisher beside it. */
interface Running {
  readonly daemon: ChildProcess;
  readonly publisher: ChildProcess;
}

/** Six simulated hosts that publish into one directory, and every question about them. Resolves to the exit status. */
export async function demonstrateFleet(print: Print): Promise<number> {
  const place = mkdtempSync(join(tmpdir(), "iovad-demo-"));
  const shared = join(place, "fleet");
  mkdirSync(shared);
  const hosts = new Map<string, Running>();
  process.once("exit", () => {
    for (const { publisher } of hosts.values()) publisher.kill("SIGTERM");
  });
  try {
    const started = Object.entries(FLEET_HOSTS).map(async ([name, topology]) => {
      hosts.set(name, await start(name, topology, place, shared));
    });
    await Promise.all(started);
    print(`Six hosts publish what they allow, each a file in ${shared}:`);
    await converse(hosts, shared, print);
    return 0;
  } finally {
    await Promise.all(Array.from(hosts.values(), stop));
    rmSync(place, { recursive: true });
  }
}

async function converse(hosts: ReadonlyMap<string, Running>, shared: string, print: Print): Promise<void> {
  const ask = async (why: string, ...args: string[]) => {
    print();
    print(`# ${why}`);
    print(`$ iovactl fleet ${args.join(" ")}`);
    for await (const line of linesOf(ctl(shared, args))) print(line);
  };
  await ask("Who is there, and who is alike?", "hosts");
  await ask("What do all of them allow, and who costs the rest?", "predict");
  await ask("A guest of 16 GiB that may run anywhere?", "check", ...GUEST);
  await ask("Which hosts cost the others what?", "outliers");
  await ask("And without that one?", "check", ...GUEST, "--hosts", "intel-*", "--hosts", "amd-*");
  await ask("4 GiB that are free everywhere?", "find", "4G");
  await ask("Which hosts can take it with two of these GPUs?", "fits", ...GUEST, "--want", "2:10de:20b5");
  print();
  print(`# The layout is watched while ${ODD} leaves.`);
  print(`$ iovactl fleet watch ${GUEST.join(" ")}`);
  await watchLeave(hosts, shared, print);
}

/** Prints what a watch tells until the host that stands out is gone, and the layout is mended by that. */
async function watchLeave(hosts: ReadonlyMap<string, Running>, shared: string, print: Print): Promise<void> {
  const watch = ctl(shared, ["watch", ...GUEST]);
  let came = 0;
  for await (const line of linesOf(watch)) {
    print(line);
    if (line.includes("HOST_CAME") && ++came === hosts.size) hosts.get(ODD)?.publisher.kill("SIGTERM");
    if (line.includes("LAYOUT_MENDED")) watch.kill("SIGTERM");
  }
}

/** Resolves when the host has published what is exact: each of its devices was probed. */
async function start(name: string, topology: object, place: string, shared: string): Promise<Running> {
  const file = join(place, `${name}.json`);
  const socket = join(place, `${name}.sock`);
  writeFileSync(file, JSON.stringify(topology));
  const daemon = await startDaemon({ host: name, topology: file, socket, once: true });
  const client = await connect({ socket });
  const { devices } = await client.call("query-devices");
  for (const { device } of devices) await client.call("probe-device", { device });
  await client.close();
  const publisher = spawn(process.execPath, [FLEET, "--socket", socket, "--to", shared, "--name", name], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  for await (const line of createInterface({ input: publisher.stderr })) {
    if (line.includes("published")) break;
  }
  publisher.stderr.resume();
  return { daemon, publisher };
}

async function stop({ daemon, publisher }: Running): Promise<void> {
  publisher.kill("SIGTERM");
  if (publisher.exitCode === null && publisher.signalCode === null) await once(publisher, "exit");
  daemon.kill("SIGTERM");
  await ended(daemon);
}

function ctl(shared: string, args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [CTL, "fleet", ...args, "--from", shared], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, COLUMNS: WIDTH },
  });
}

function linesOf({ stdout }: ChildProcess): AsyncIterable<string> {
  return createInterface({ input: stdout as NonNullable<typeof stdout> });
}
