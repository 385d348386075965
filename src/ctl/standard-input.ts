import { fstatSync, readFileSync } from "node:fs";
import { complain } from "../command-line.ts";

/** Milliseconds that a pipe has to say something. */
const PATIENCE = 500;

/**
 * What was piped in; undefined when standard input is a terminal, is closed, or says nothing. A pipe that nobody writes
 * to, as programs leave theirs open, is waited for only a moment, which is said: what comes later is lost.
 */
export async function readPiped(): Promise<string | undefined> {
  try {
    const input = fstatSync(0);
    if (input.isFile()) return meant(readFileSync(0, "utf8"));
    if (!input.isFIFO() && !input.isSocket()) return undefined;
  } catch {
    return undefined;
  }
  const silence = setTimeout(() => {
    complain("iovactl", "nothing has come on standard input, which is not waited for any longer");
    process.stdin.destroy();
  }, PATIENCE);
  let text = "";
  try {
    for await (const bytes of process.stdin.setEncoding("utf8")) {
      clearTimeout(silence);
      text += bytes;
    }
  } catch {
    // It was silent.
  }
  clearTimeout(silence);
  return meant(text);
}

function meant(text: string): string | undefined {
  return text.trim() === "" ? undefined : text.trim();
}
