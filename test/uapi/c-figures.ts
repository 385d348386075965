import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What a C compiler says of a header: ioctl numbers, and of each struct sizeof and per member [offset, width]. */
export interface Figures {
  numbers: Record<string, number>;
  structs: Record<string, { size: number; fields: Record<string, [offset: number, width: number]> }>;
}

const HEADERS = ["linux/iommufd.h", "linux/vfio.h"]
  .map((header) => `#if __has_include(<${header}>)\n#include <${header}>\n#endif\n`)
  .join("");

/**
 * Has gcc compile a program that prints the figures for those of `numbers` and `structs` (struct name to member
 * names) that the headers know: headers of another age lack some, and one that is not installed lacks all.
 * Undefined when there is no gcc. `flags` go to gcc.
 */
export function figuresFromC(
  numbers: readonly string[],
  structs: Readonly<Record<string, readonly string[]>>,
  flags: readonly string[] = [],
): Figures | undefined {
  const directory = mkdtempSync(join(tmpdir(), "iovad-layout-"));
  const gcc = (input: string, ...more: string[]) =>
    execFileSync("gcc", [...flags, ...more, "-x", "c", "-"], { input, encoding: "utf8" });
  try {
    const macros = new Set(
      [...gcc(HEADERS, "-E", "-dM").matchAll(/^#define (\w+)/gm)].map((match) => match[1]),
    );
    const declarations = gcc(HEADERS, "-E", "-P");

    const statements = numbers
      .filter((name) => macros.has(name))
      .map((name) => `printf("number ${name} %lu\\n", (unsigned long)${name});`);
    for (const [name, members] of Object.entries(structs)) {
      const body = new RegExp(`struct ${name} \\{\\n(.*?)\\n\\}`, "s").exec(declarations)?.[1];
      if (body === undefined) continue;
      statements.push(`printf("struct ${name} %zu\\n", sizeof(struct ${name}));`);
      for (const member of members.filter((member) => new RegExp(`\\b${member}\\b`).test(body))) {
        const figures = `offsetof(struct ${name}, ${member}), sizeof(((struct ${name} *)0)->${member})`;
        statements.push(`printf("field ${name} ${member} %zu %zu\\n", ${figures});`);
      }
    }

    const program = join(directory, "figures");
    gcc(
      `#include <stddef.h>\n#include <stdio.h>\n${HEADERS}int main(void) {\n${statements.join("\n")}\n}\n`,
      "-o",
      program,
    );
    return parse(execFileSync(program, { encoding: "utf8" }));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function parse(output: string): Figures {
  const figures: Figures = { numbers: {}, structs: {} };
  for (const [kind, name = "", ...rest] of output
    .trim()
    .split("\n")
    .map((line) => line.split(" "))) {
    if (kind === "number") figures.numbers[name] = Number(rest[0]);
    if (kind === "struct") figures.structs[name] = { size: Number(rest[0]), fields: {} };
    if (kind === "field") {
      const [member = "", offset, width] = rest;
      const struct = figures.structs[name];
      if (struct) struct.fields[member] = [Number(offset), Number(width)];
    }
  }
  return figures;
}
