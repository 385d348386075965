import { createRequire } from "node:module";
import type Koffi from "koffi";
import { lazily } from "../lazily.ts";

const load = createRequire(import.meta.url);

/** As package.json has it: where several are installed, the binary may be another one's. */
const VERSION = "3.3.4";
/** Its binary for glibc. The scripts that look for the right one take two thirds of the time. */
const USUAL = `@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`;

/**
 * koffi, loaded when it is first asked for: with another C library, and where npm has not installed that binary, by itself.
 * Throws Error where it cannot be loaded.
 */
export const koffi = lazily((): typeof Koffi => {
  try {
    const usual: typeof Koffi = load(USUAL);
    if (usual.version === VERSION) return usual;
  } catch {}
  return load("koffi");
});
