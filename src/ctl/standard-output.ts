import { fstatSync, writeSync } from "node:fs";

/**
 * Standard output. Of what goes into a file Node.js writes as much as there is room for, and says nothing of the rest
 * (lib/internal/fs/sync_write_stream.js): there all of it is written, or `write` throws.
 */
export function standardOutput(): NodeJS.Process["stdout"] {
  const { stdout } = process;
  const status = fstatSync(1);
  if (stdout.isTTY || !(status.isFile() || status.isCharacterDevice())) return stdout;
  return { write: writeAll } as unknown as NodeJS.Process["stdout"];
}

function writeAll(text: string, done?: () => void): boolean {
  const bytes = Buffer.from(text);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
  } catch (error) {
    throw new Error(`the output cannot be written: ${(error as Error).message}`);
  }
  done?.();
  return true;
}
