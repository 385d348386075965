import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ERROR_CODES } from "../../src/rpc/errors.ts";
import { Daemon } from "../daemon/daemon.ts";
import { runs } from "../runs.ts";
import { fuzzedLine, inQmp, type Methods } from "./lines.ts";

/** `npm run fuzz` asks for more. */
const LINES = Number(process.env.IOVAD_FUZZ_LINES ?? runs(1_500, 30_000));
const SEED = Number(process.env.IOVAD_SEED ?? Date.now() % 2 ** 31);
const CHUNK = 500;

const DEVICES = ["0000:00:05.0", "0000:00:06.0", "0000:00:07.0"];
const TOPOLOGY = {
  iommus: [{ name: "dmar0", aperture: { start: "0x0", last: "0x7fffffffff" } }],
  devices: DEVICES.map((device, index) => ({
    device,
    iommu: "dmar0",
    group: index >> 1,
    driver: "vfio-pci",
    regions: [{ start: "0xfee00000", last: "0xfeefffff", type: "msi" }],
  })),
};

/** Every code that a client may see. -32603 is a fault of the daemon. */
const CODES = new Set([-32700, -32600, -32601, -32602, ...Object.values(ERROR_CODES)]);

const directory = mkdtempSync(join(tmpdir(), "iovad-fuzz-"));
const qmpSocket = join(directory, "qmp");

let daemon: Daemon;
let socket: Socket;
let lines: Interface;
let next: AsyncIterator<string>;

beforeAll(async () => {
  daemon = await Daemon.start({ topology: TOPOLOGY, args: ["--qmp-socket", qmpSocket] });
  socket = connect(daemon.socket);
  lines = createInterface({ input: socket });
  next = lines[Symbol.asyncIterator]();
});
afterAll(async () => {
  socket.destroy();
  expect(await daemon.stop()).toBe(0);
  rmSync(directory, { recursive: true });
  expect(daemon.log.filter(({ level }) => Number(level) >= 40)).toEqual([]);
});

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape
type Message = any;

/** Sends lines and a last good request; resolves to everything that came back before the answer of that one. */
async function answersTo(sent: readonly Buffer[], sentinel: string): Promise<Message[]> {
  const last = Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", id: sentinel, method: "query-version" })}\n`);
  socket.write(Buffer.concat([...sent.flatMap((line) => [line, Buffer.from("\n")]), last]));
  const answers: Message[] = [];
  for (;;) {
    const { value, done } = await next.next();
    if (done) throw new Error("the daemon has closed the connection");
    const message = JSON.parse(value);
    if (message.id === sentinel) {
      expect(message.result.name).toBe("iovad");
      return answers;
    }
    answers.push(message);
  }
}

function expectGoodAnswer(message: Message): void {
  for (const each of Array.isArray(message) ? message : [message]) {
    if (each.method !== undefined && each.id === undefined) continue;
    const isAnswer = each.jsonrpc === "2.0" && "id" in each && "result" in each !== "error" in each;
    if (!isAnswer) throw new Error(`not an answer: ${JSON.stringify(each).slice(0, 500)}`);
    if ("error" in each && !CODES.has(each.error.code)) {
      throw new Error(`an error that no client may see: ${JSON.stringify(each.error).slice(0, 500)}`);
    }
  }
}

function residentMiB(): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8")) ?? [];
  return Math.round(Number(kib) / 1024);
}

const KNOWN = [...DEVICES, "default", "guest", "ram", "q35"];

async function methodsOfDaemon(): Promise<Methods> {
  const asked = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"query-schema"}');
  return (await answersTo([asked], "schema")).at(-1).result.methods;
}

/** Everything that comes back over a connection of its own, which ends behind the messages: one may have no end. */
async function qmpAnswersTo(sent: readonly Buffer[]): Promise<Message[]> {
  const client = connect({ path: qmpSocket, allowHalfOpen: true });
  client.end(Buffer.concat([Buffer.from('{"execute":"qmp_capabilities"}'), ...sent]));
  const answers: Message[] = [];
  for await (const line of createInterface({ input: client })) answers.push(JSON.parse(line));
  client.destroy();
  return answers;
}

function expectGoodQmpAnswer(message: Message): void {
  if ("event" in message || "QMP" in message) return;
  const isAnswer = "return" in message !== "error" in message;
  const classes = ["GenericError", "CommandNotFound", "DeviceNotFound"];
  const isKnown = !("error" in message) || classes.includes(message.error.class);
  if (!isAnswer || !isKnown || message.error?.data?.class === "InternalError") {
    throw new Error(`no answer of QMP's: ${JSON.stringify(message).slice(0, 500)}`);
  }
}

it(`survives ${LINES} fuzzed lines, seed ${SEED}`, { timeout: 3_600_000 }, async () => {
  const line = fuzzedLine(await methodsOfDaemon(), KNOWN);
  let answers = 0;
  const resident: number[] = [];
  for (let chunk = 0; chunk * CHUNK < LINES; chunk++) {
    const sent = fc.sample(line, { seed: SEED + chunk, numRuns: CHUNK });
    const got = await answersTo(sent, `sentinel ${chunk}`).catch((error) => {
      throw new Error(`IOVAD_SEED=${SEED}, lines ${chunk * CHUNK} to ${(chunk + 1) * CHUNK}`, {
        cause: error,
      });
    });
    got.forEach(expectGoodAnswer);
    answers += got.length;
    resident.push(residentMiB());
  }
  expect(answers).toBeGreaterThan(LINES / 4);
  const half = resident[resident.length >> 1] ?? Number.NaN;
  console.log(
    `${LINES} lines, ${answers} answers; resident MiB: half-way ${half}, at the end ${resident.at(-1)}`,
  );
  // The first half fills what has a limit; what the second adds to that leaks.
  expect(resident.at(-1)).toBeLessThan(1.25 * half);
});

it(`survives ${LINES / 5} fuzzed messages of QMP's, seed ${SEED}`, { timeout: 3_600_000 }, async () => {
  const message = fuzzedLine(await methodsOfDaemon(), KNOWN, inQmp);
  let answers = 0;
  for (let chunk = 0; chunk * CHUNK < LINES / 5; chunk++) {
    // Few at a time: what is damaged may take all behind it with it.
    for (let part = 0; part < CHUNK / 10; part++) {
      const sent = fc.sample(message, { seed: SEED + chunk * CHUNK + part, numRuns: 10 });
      const got = await qmpAnswersTo(sent).catch((cause) => {
        throw new Error(`IOVAD_SEED=${SEED}, part ${part} of chunk ${chunk}`, { cause });
      });
      got.forEach(expectGoodQmpAnswer);
      answers += got.length;
    }
  }
  expect(answers).toBeGreaterThan(LINES / 20);
});
