import { readFileSync } from "node:fs";
import { createRequire, Module } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { cachedDataVersionTag } from "node:v8";
import { Script } from "node:vm";

/** Where the daemon's bundle is, from dist/. Named after its content; `package/bundle.ts` puts the name in. */
declare const DAEMON: string;

const BUNDLE = fileURLToPath(new URL(DAEMON, import.meta.url));

/** What a start needs of the bundle: of the two kernels it uses one, and all that is in a cache is read at once. */
export type Backend = "linux" | "simulated";

/** The kernel that a command line asks for. Who has a simulated one from the config file starts a little slower. */
export function backendOf(args: readonly string[]): Backend {
  return args.some((arg) => /^--simulate(=|$)/.test(arg)) ? "simulated" : "linux";
}

/**
 * Where there is what V8 has made of the bundle on this machine (`code-cache.ts`): of this very bundle, since it has its
 * name, and for this processor, Node.js and flags. V8 itself looks at little of that: it takes a cache of another
 * architecture, and crashes.
 */
export function cachePath(backend: Backend): string {
  const maker = `${process.version}-${process.arch}-${cachedDataVersionTag().toString(16)}`;
  return BUNDLE.replace(/\.cjs$/, `-${maker}-${backend}.cache`);
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

/** Loads the daemon as require() does, which takes no cache before Node.js 22, and starts quicker than import does. */
export function loadDaemon(script: Script): typeof import("./daemon.ts") {
  const module = new Module(BUNDLE);
  script.runInThisContext()(module.exports, createRequire(BUNDLE), module, BUNDLE, dirname(BUNDLE));
  return module.exports;
}

/** Undefined where there is none, and where this user may not read it. */
export function cachedData(backend: Backend): Buffer | undefined {
  try {
    return readFileSync(cachePath(backend));
  } catch {
    return undefined;
  }
}
