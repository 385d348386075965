import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, it } from "vitest";
import { converse } from "../../src/demo/conversation.ts";
import { iovactl, settled } from "../ctl/command-line.ts";
import { Daemon } from "./daemon.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const README = readFileSync(join(ROOT, "README.md"), "utf8");
const INTEL = new URL("../../src/demo/hosts/intel.json", import.meta.url).pathname;

/** Each shell example that talks to a socket, with the JSON block that follows it. */
const EXAMPLES = [...README.matchAll(/```sh\n([^`]*CONNECT:\$(\w+)[^`]*)```\s+```json\n([^`]*)```/g)].map(
  ([, shell = "", socket = "", answers = ""]) => ({
    requests: shell.match(/\{"(jsonrpc|execute)".*\}/g) ?? [],
    isQmp: socket === "QMP_SOCKET",
    answers,
  }),
);

/** The program, and what it prints. */
const [, PROGRAM = "", PRINTED = ""] = /```js\n([^`]*)```\s+```\n([^`]*)```/.exec(README) ?? [];

/** Each command of iovactl's, with what it prints below it. */
const COMMANDS = [...README.matchAll(/```console\n([^`]*)```/g)]
  .flatMap(([, block = ""]) => block.split(/^(?=\$ )/m))
  .map((block) => {
    const [, line = "", printed = ""] = /^\$ iovactl (.*)\n([\s\S]*)$/.exec(block) ?? [];
    return { args: (line.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', "")), printed };
  });

/** Every daemon makes its instance up, and the end of a lease may be told before or after the next greeting. */
const anyInstance = (lines: string) =>
  lines.replace(/"instance":"[0-9a-f-]{36}","sequence":\d+/g, '"instance":"…","sequence":0');

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-readme-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

it("the README's sessions give the README's answers", async () => {
  expect(EXAMPLES.filter(({ isQmp }) => isQmp)).toHaveLength(1);
  expect(EXAMPLES.length).toBeGreaterThanOrEqual(4);
  const qmp = join(directory, "qmp");
  const daemon = await Daemon.start({ args: ["--simulate", INTEL, "--qmp-socket", qmp] });
  // The reader comes to it after the demo's own conversation.
  await converse(await daemon.client(), () => {});
  for (const { requests, isQmp, answers } of EXAMPLES) {
    // As socat does: everything at once, then the end.
    const socket = connect({ path: isQmp ? qmp : daemon.socket, allowHalfOpen: true });
    socket.end(`${requests.join("\n")}\n`);
    // QMP's lines end in CRLF, which no reader of the README sees.
    const got = (await text(socket)).replaceAll("\r\n", "\n");
    expect(anyInstance(got)).toBe(anyInstance(answers));
  }
  expect(await daemon.stop()).toBe(0);
});

it("the README's commands print what the README says", async () => {
  expect(COMMANDS.length).toBeGreaterThanOrEqual(12);
  const daemon = await Daemon.start({ args: ["--simulate", INTEL] });
  const demo = await daemon.client();
  await converse(demo, () => {});
  await demo.close();
  // The limit of locked memory is that of the reader's shell.
  const steady = (text: string) => settled(text, daemon.socket).replace(/^memory lock\n[\s\S]*$/m, "");
  for (const { args, printed } of COMMANDS) {
    const { stdout, stderr } = await iovactl(["-s", daemon.socket, ...args], { COLUMNS: "80" });
    expect(steady(stdout + stderr)).toBe(steady(printed.replaceAll("/tmp/iovad-demo.sock", daemon.socket)));
  }
  expect(await daemon.stop()).toBe(0);
});

it("the README's program runs against the packed package's name, and prints what the README says", async () => {
  const daemon = await Daemon.start({ args: ["--simulate", INTEL] });
  await converse(await daemon.client(), () => {});
  for (const { requests, isQmp } of EXAMPLES) {
    if (isQmp) continue;
    const socket = connect({ path: daemon.socket, allowHalfOpen: true });
    socket.end(`${requests.join("\n")}\n`);
    await text(socket);
  }
  mkdirSync(join(directory, "node_modules"));
  symlinkSync(ROOT, join(directory, "node_modules", "iovad"));
  const file = join(directory, "program.mjs");
  expect(PROGRAM).toContain('"/tmp/iovad-demo.sock"');
  writeFileSync(file, PROGRAM.replace("/tmp/iovad-demo.sock", daemon.socket));
  const program = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "inherit"] });
  expect(await text(program.stdout)).toBe(PRINTED);
  expect(await daemon.stop()).toBe(0);
});
