import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { GLOBAL_OPTIONS } from "../../src/ctl/arguments.ts";
import { COMMANDS } from "../../src/ctl/commands/index.ts";
import { defined, escapeText, fill, withoutEmptyParagraphs } from "../../src/docs/scdoc.ts";
import { METHODS } from "../../src/rpc/methods/index.ts";
import { HELP } from "../../src/run/options.ts";
import { SETTINGS } from "../../src/settings.ts";

const MAN = new URL("../../dist/man/", import.meta.url).pathname;
/** The build makes pages where scdoc is; this is told by the name of the test where it is not. */
const hasPages = existsSync(`${MAN}iovad.8`);
const hasMandoc = spawnSync("mandoc", ["-h"]).error === undefined;

/** A page as it is read. */
const page = (name: string) => readFileSync(MAN + name, "utf8").replaceAll("\\&", "");

it.skipIf(!hasPages)("every option, command and method has its place in a page (takes scdoc)", () => {
  for (const { name } of SETTINGS) expect(page("iovad.8")).toContain(`\\fB--${name}\\fR`);
  for (const name of Object.keys(GLOBAL_OPTIONS).filter((name) => name.length > 1))
    expect(page("iovactl.1")).toContain(`--${name}`);
  for (const { name, isHidden } of COMMANDS)
    if (!isHidden) expect(page("iovactl.1")).toMatch(new RegExp(`^\\.SS ${name}\\b`, "m"));
  for (const { name } of METHODS) expect(page("iovad.7")).toContain(`\\fB${name}\\fR`);
  for (const [, name] of HELP.matchAll(/^ {2}--([a-z-]+)/gm))
    expect(page("iovad-run.1")).toContain(`\\fB--${name}\\fR`);
});

it.skipIf(!hasPages)("an example that goes on with the next line can be pasted (takes scdoc)", () => {
  expect(page("iovad-run.1").match(/ \\\\$/gm)).toHaveLength(2);
});

it.skipIf(!hasPages || !hasMandoc)("mandoc finds nothing to complain of (takes scdoc and mandoc)", () => {
  for (const name of readdirSync(MAN)) {
    expect(spawnSync("mandoc", ["-Tlint", "-W", "warning", MAN + name], { encoding: "utf8" }).stdout).toBe(
      "",
    );
  }
});

it("what is special to scdoc stands as it is", () => {
  expect(escapeText("a_b *c* \\")).toBe("a\\_b \\*c\\* \\\\");
  expect(defined("--svg", "FILE", "draws")).toBe("*--svg* _FILE_\n\tdraws");
});

it("every part of a page has to be there", () => {
  expect(fill("a {{b}} c", { b: "B" })).toBe("a B c");
  expect(() => fill("{{none}}", {})).toThrow("none");
});

it("a paragraph stands where text follows, and nowhere else", () => {
  expect(withoutEmptyParagraphs(".SH X\n.P\ntext\n.P\n.RE\nmore\n.P\n.SH Y\n.P\nend\n.P\n")).toBe(
    ".SH X\ntext\n.RE\n.P\nmore\n.SH Y\nend\n",
  );
});
