import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect, it } from "vitest";
import { koffi } from "../../src/libc/koffi.ts";

const { dependencies } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

it("koffi is the one that package.json names, and its binary is found without its scripts", () => {
  const { arch } = process;
  const binary = createRequire(import.meta.url)(`@koromix/koffi-linux-${arch}/linux_${arch}/koffi.node`);
  expect(koffi()).toBe(binary);
  expect(koffi().version).toBe(dependencies.koffi);
});
