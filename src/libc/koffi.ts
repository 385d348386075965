import { join } from "node:path";
import type Koffi from "koffi";
import { lazily } from "../lazily.ts";

/** As package.json has it: where several are installed, the binary may be another one's. */
const VERSION = "3.3.4";
/** Its binary for glibc. The scripts that look for the right one take two thirds of the time. */
const BINARY = `@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`;
/** Where that is, unless npm has put the packages of several programs together. */
const USUAL = join(import.meta.dirname, "../../node_modules", BINARY);

/**
 * koffi, loaded when it is first asked for: with another C library, and where npm has not installed that binary, by itself.
 * Throws Error where it cannot be loaded.
 */
export const koffi = lazily((): typeof Koffi => {
  const load = (name: string) => process.getBuiltinModule("node:module").createRequire(import.meta.url)(name);
  for (const attempt of [() => open(USUAL), () => load(BINARY)]) {
    try {
      const loaded: typeof Koffi = attempt();
      if (loaded.version === VERSION) return loaded;
    } catch {}
  }
  return load("koffi");
});

/** What require() does in the end; to find out which file is meant takes it a third of the time. */
function open(path: string): typeof Koffi {
  const module: { exports: unknown } = { exports: {} };
  process.dlopen(module, path);
  return module.exports as typeof Koffi;
}
