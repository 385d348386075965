import { readFileSync } from "node:fs";
import { dirname, join } from "node:path/posix";
import { ROOT } from "./programs.ts";

/** A link or a picture. */
const LINK = /!?\[([^\]]*)\]\(([^)#\s]+)(#[^)]*)?\)/g;

/**
 * A README of the checkout for where it is installed: links lead to what is installed too, and of the rest it says where in
 * the source it stands. `installed`: where paths of the checkout are, from the root of the file system.
 */
export function documentFor(path: string, installed: ReadonlyMap<string, string>): string {
  return readFileSync(ROOT + path, "utf8").replaceAll(LINK, (link, text, target, anchor = "") => {
    if (/^\w+:/.test(target)) return link;
    const source = join(dirname(path), target);
    const place = installed.get(source);
    if (place !== undefined) return `[${text}](/${place}${anchor})`;
    return text === source ? `${text} in the source` : `${text} (${source} in the source)`;
  });
}
