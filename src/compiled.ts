import { existsSync, readFileSync } from "node:fs";
import { createRequire, Module } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { cachedDataVersionTag } from "node:v8";
import { Script } from "node:vm";

/** Where the daemon's bundle is, from dist/. Named after its content; `package/bundle.ts` puts the name in. */
declare const DAEMON: string;

const BUNDLE = fileURLToPath(new URL(DAEMON, import.meta.url));

/**
 * Where there is what V8 has made of the bundle on this machine (`code-cache.ts`): of this very bundle, since it has its
 * name, and for this processor, Node.js and flags. V8 itself looks at little of that: it takes a cache of another
 * architecture, and crashes.
 */
export function cachePath(): string {
  const maker = `${process.version}-${process.arch}-${cachedDataVersionTag().toString(16)}`;
  return BUNDLE.replace(/\.cjs$/, `-${maker}.cache`);
}

/** The script as V8 takes it; with a cache that it does not take, as without one. */
export function compileDaemon(cachedData?: Buffer): Script {
  const source = readFileSync(BUNDLE, "latin1");
  return new Script(source, { filename: BUNDLE, ...(cachedData && { cachedData }) });
}

/**
 * Loads the daemon, with V8's code cache if there is one: to compile half a megabyte is a third of the daemon's start.
 * Otherwise as require() does, which takes no cache before Node.js 22, and starts quicker than import does.
 */
export function loadDaemon(script = compileDaemon(cachedData())): typeof import("./daemon.ts") {
  const module = new Module(BUNDLE);
  script.runInThisContext()(module.exports, createRequire(BUNDLE), module, BUNDLE, dirname(BUNDLE));
  return module.exports;
}

function cachedData(): Buffer | undefined {
  const path = cachePath();
  return existsSync(path) ? readFileSync(path) : undefined;
}
