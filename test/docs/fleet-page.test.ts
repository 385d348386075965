import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { HELP } from "../../src/fleet/options.ts";

const PAGE = readFileSync(new URL("../../src/docs/iovad-fleet.1.scd", import.meta.url), "utf8");

it("iovad-fleet's page has the options of its help, and no others", () => {
  const helped = Array.from(HELP.matchAll(/^ {2}--([a-z-]+)/gm), ([, name]) => name);
  const [, options = ""] = PAGE.split("# OPTIONS");
  const paged = Array.from(options.matchAll(/\*--([a-z-]+)\*/g), ([, name]) => name);
  expect(helped).toContain("nats");
  expect(paged.sort()).toEqual(helped.sort());
});
