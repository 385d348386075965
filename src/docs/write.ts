import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { completionScript, SHELLS } from "../ctl/shell-completion.ts";
import { generatedParts } from "./pages.ts";
import { fill, withoutEmptyParagraphs } from "./scdoc.ts";

/** Writes what a package has beside programs: dist/man by scdoc, and dist/completion. */

const SOURCES = fileURLToPath(new URL("../../src/docs/", import.meta.url));
const DIST = fileURLToPath(new URL("../", import.meta.url));

mkdirSync(`${DIST}completion`, { recursive: true });
for (const shell of SHELLS) writeFileSync(`${DIST}completion/iovactl.${shell}`, completionScript(shell));

mkdirSync(`${DIST}man`, { recursive: true });
const parts = await generatedParts();
for (const file of readdirSync(SOURCES).filter((name) => name.endsWith(".scd"))) {
  const source = fill(readFileSync(SOURCES + file, "utf8"), parts);
  const { error, status, stdout, stderr } = spawnSync("scdoc", { input: source, encoding: "utf8" });
  if (error) {
    process.stderr.write("docs: scdoc is not there, so no man pages are made (apt install scdoc)\n");
    break;
  }
  if (status !== 0) throw new Error(`${file}: ${stderr.trim()}`);
  writeFileSync(`${DIST}man/${file.replace(/\.scd$/, "")}`, withoutEmptyParagraphs(stdout));
}
