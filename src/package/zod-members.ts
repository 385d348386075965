import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Plugin } from "rolldown";
import { ROOT } from "./programs.ts";

/** A method in the table of a class, as zod's files are formatted. */
const MEMBER =
  /^ {4}(?:async )?(\w+)(?:\(.*\)|: (?:async )?function \w+\(.*\)) \{\n(?: {8}.*\n|\n)* {4}\},\n/gm;

/**
 * Leaves out what nobody names of the hundred methods of zod's schemas: each class of them has its own accessors for all,
 * made with its first schema, which is most of what a start asks of zod. A name behind any dot in src/ will do.
 */
export const zodMembers: Plugin = {
  name: "zod-members",
  transform: {
    filter: { id: /zod\/v4\/classic\/schemas\.js$/ },
    handler(code, id) {
      const names = new Set([
        ...namedIn(`${ROOT}src`, /\./),
        ...namedIn(join(dirname(id), ".."), /\b(?:this|inst)\??\./),
      ]);
      return code.replaceAll(MEMBER, (member, name) => (names.has(name) ? member : ""));
    },
  },
};

/** The words that follow what matches, in all files of a directory. */
function namedIn(directory: string, before: RegExp): (string | undefined)[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((path) => /\.[jt]s$/.test(path))
    .flatMap((path) => readFileSync(join(directory, path), "utf8").split(before).slice(1))
    .map((text) => /^\w*/.exec(text)?.[0]);
}
