/** Writes schemas/ anew: `npm run schemas`. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { EVENTS } from "../events.ts";
import { METHODS } from "../methods/index.ts";
import { schemaFiles } from "./files.ts";

const root = fileURLToPath(new URL("../../../schemas/", import.meta.url));
rmSync(root, { recursive: true, force: true });
for (const [path, text] of schemaFiles(METHODS, EVENTS)) {
  mkdirSync(dirname(root + path), { recursive: true });
  writeFileSync(root + path, text);
}
