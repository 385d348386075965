import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect, it } from "vitest";
import { koffi } from "../../src/libc/koffi.ts";

const { dependencies } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

it("koffi is the one that package.json names, and its binary is found without its scripts, or npm's places", () => {
  expect(koffi().version).toBe(dependencies.koffi);
  const { cache } = createRequire(import.meta.url);
  expect(Object.keys(cache).filter((path) => /[/]koffi/.test(path))).toEqual([]);
});
