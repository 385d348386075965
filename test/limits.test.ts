import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { LIMITS } from "../src/limits.ts";

const README = readFileSync(new URL("../README.md", import.meta.url), "utf8");

/** `| `--max-request BYTES` | 1048576 | bytes in a request line |` */
const ROWS = [...README.matchAll(/^\| `--([a-z-]+)(?: (BYTES|SECONDS))?` \| (\d+) \| (.*) \|$/gm)];

it("the README's table has every limit with its option, unit, default and meaning", () => {
  expect(ROWS.map(([, name, unit = "N", value, about]) => [name, unit, Number(value), about])).toEqual(
    Object.entries(LIMITS).map(([name, { unit, default: value, about }]) => [name, unit, value, about]),
  );
});

it("no default is out of its bounds", () => {
  for (const [name, { default: value, min, max }] of Object.entries(LIMITS)) {
    expect([name, value >= min && value <= max]).toEqual([name, true]);
  }
});
