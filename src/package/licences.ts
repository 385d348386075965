import { readdirSync, readFileSync } from "node:fs";
import { ROOT } from "./programs.ts";

/** What a text of others asks of whoever passes it on: their name, and their licence word for word. */
export interface Licence {
  readonly name: string;
  readonly version: string;
  readonly text: string;
}

/** Of packages by their names, ascending. @throws Error for a package that says nothing of its licence */
export function licencesOf(names: Iterable<string>): Licence[] {
  return [...names].sort().map((name) => {
    const directory = `${ROOT}node_modules/${name}/`;
    const { version } = JSON.parse(readFileSync(`${directory}package.json`, "utf8"));
    const file = readdirSync(directory).find((entry) => /^(licen[cs]e|copying)\b/i.test(entry));
    if (file === undefined) throw new Error(`${name} has no file with its licence`);
    return { name, version, text: readFileSync(`${directory}${file}`, "utf8").trim() };
  });
}

/** The package that a module is of, or undefined for one of ours. */
export function packageOf(module: string): string | undefined {
  return /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(module)?.[1];
}
