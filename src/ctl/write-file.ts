import { writeFileSync } from "node:fs";
import type { Output } from "./terminal/output.ts";

/** Into the file that a command line names; - is standard output. @throws Error that names the file */
export function writeFile(file: string, text: string, out: Output): void {
  if (file === "-") out.raw(text);
  else {
    try {
      writeFileSync(file, text);
    } catch (error) {
      throw new Error(`${file} cannot be written: ${(error as Error).message}`);
    }
  }
}
