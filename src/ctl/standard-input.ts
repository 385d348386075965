import { fstatSync, readFileSync } from "node:fs";

/** Milliseconds that a pipe has to say something. */
const PATIENCE = 500;

/**
 * What was piped in; undefined when standard input is a terminal, is closed, or says nothing. A pipe that nobody writes
 * to, as programs leave theirs open, is not waited for.
 */
export async function readPiped(): Promise<string | undefined> {
  try {
    const input = fstatSync(0);
    if (input.isFile()) return meant(readFileSync(0, "utf8"));
    if (!input.isFIFO() && !input.isSocket()) return undefined;
  } catch {
    return undefined;
  }
  const silence = setTimeout(() => process.stdin.destroy(), PATIENCE);
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
