import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

const { dependencies } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const KOFFI = new URL("../../dist/libc/koffi.js", import.meta.url).href;

it("koffi is the one that package.json names, and its binary is found without its scripts, or a search", () => {
  const script = `
    import { createRequire } from "node:module";
    import { koffi } from "${KOFFI}";
    const { version } = koffi();
    const { cache } = createRequire(import.meta.url);
    console.log(JSON.stringify({ version, required: Object.keys(cache) }));`;
  const said = execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  expect(JSON.parse(said)).toEqual({ version: dependencies.koffi, required: [] });
});
