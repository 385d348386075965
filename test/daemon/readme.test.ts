import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";
import { converse } from "../../src/demo/conversation.ts";
import { Daemon } from "./daemon.ts";

const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const INTEL = new URL("../../src/demo/hosts/intel.json", import.meta.url).pathname;

/** Each shell example that talks to the demo's socket, with the JSON block that follows it. */
const EXAMPLES = [...README.matchAll(/```sh\n([^`]*\$SOCKET[^`]*)```\s+```json\n([^`]*)```/g)].map(
  ([, shell = "", answers = ""]) => ({ requests: shell.match(/\{"jsonrpc".*\}/g) ?? [], answers }),
);

/** Every daemon makes its instance up, and the end of a lease may be told before or after the next greeting. */
const anyInstance = (lines: string) =>
  lines.replace(/"instance":"[0-9a-f-]{36}","sequence":\d+/g, '"instance":"…","sequence":0');

it("the README's socat session gives the README's answers", async () => {
  expect(EXAMPLES.length).toBeGreaterThanOrEqual(3);
  const daemon = await Daemon.start({ args: ["--simulate", INTEL] });
  // The reader comes to it after the demo's own conversation.
  await converse(await daemon.client(), () => {});
  for (const { requests, answers } of EXAMPLES) {
    // As socat does: everything at once, then the end.
    const socket = connect({ path: daemon.socket, allowHalfOpen: true });
    socket.end(`${requests.join("\n")}\n`);
    expect(anyInstance(await text(socket))).toBe(anyInstance(answers));
  }
  expect(await daemon.stop()).toBe(0);
});
