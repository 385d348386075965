import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The checkout that this file was built in. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface PackageJson {
  readonly version: string;
  readonly description: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: { readonly ".": { readonly default: string } };
}

export function packageJson(): PackageJson {
  return JSON.parse(readFileSync(`${ROOT}package.json`, "utf8"));
}

/** What is started by its path, or loaded by it, as paths below src/ without their ending. */
export interface Programs {
  /** What the starter loads, under a name of its own. */
  readonly daemon: string;
  /** What loads the daemon. CommonJS, in main.cjs: Node.js loads its loader of other modules when it is asked for one. */
  readonly starter: string;
  /** What loads the daemon to see what V8 makes of it. */
  readonly codeCache: string;
  /** The daemon's threads, which must not load the daemon. */
  readonly threads: readonly string[];
  readonly clients: readonly string[];
}

/** A command becomes one of them by its line in package.json. */
export function programs({ bin, exports }: PackageJson): Programs {
  const built = [exports["."].default, ...Object.values(bin)];
  const entries = built.map((path) => path.replace(/^(?:\.\/)?dist\/(.*)\.c?js$/, "$1"));
  return {
    daemon: "daemon",
    starter: "main",
    codeCache: "code-cache",
    threads: ["kernel/linux/thread", "kernel/linux/search"],
    clients: [...entries.filter((entry) => entry !== "main"), "demo/main"],
  };
}
