import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { cachedDataVersionTag } from "node:v8";
import { Script } from "node:vm";
import type { Start } from "./start.ts";

/** Where the daemon's bundle is, from dist/. Named after its content; `package/bundle.ts` puts the name in. */
declare const DAEMON: string;

const BUNDLE = join(import.meta.dirname, DAEMON);

/**
 * Where there is what V8 has made of the bundle on this machine (`code-cache.ts`): of this very bundle, since it has its
 * name, and for this processor, Node.js and flags. V8 itself looks at little of that: it takes a cache of another
 * architecture, and crashes.
 */
export function cachePath(start: Start): string {
  const maker = `${process.version}-${process.arch}-${cachedDataVersionTag().toString(16)}`;
  return BUNDLE.replace(/\.cjs$/, `-${maker}-${start}.cache`);
}

/**
 * The script as V8 takes it; with a cache that it does not take, as without one: to compile half a megabyte is a third of
 * the daemon's start.
 */
export function compileDaemon(cachedData?: Buffer): Script {
  return new Script(source(), { filename: BUNDLE, ...(cachedData && { cachedData }) });
}

/** The same once more: V8 shares what it makes between scripts of one text and one name. */
export function compileCopy(): Script {
  return new Script(source(), { filename: `${BUNDLE} (copy)` });
}

function source(): string {
  return readFileSync(BUNDLE, "latin1");
}

/**
 * Loads the daemon as require() does, which takes no cache before Node.js 22, and starts quicker than import does.
 * `require`: of a module in dist/.
 */
export function loadDaemon(script: Script, require: NodeJS.Require): typeof import("./daemon.ts") {
  const module = { exports: {} as typeof import("./daemon.ts") };
  script.runInThisContext()(module.exports, require, module, BUNDLE, dirname(BUNDLE));
  return module.exports;
}

/** Undefined where there is none, and where this user may not read it. */
export function cachedData(start: Start): Buffer | undefined {
  try {
    return readFileSync(cachePath(start));
  } catch {
    return undefined;
  }
}
