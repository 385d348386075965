import { createRequire } from "node:module";
import type Koffi from "koffi";
import { lazily } from "../lazily.ts";

const load = createRequire(import.meta.url);

/**
 * koffi, loaded when it is first asked for. Its binary for this machine comes without the scripts that look for it, which
 * take two thirds of the time; where npm has not installed that one, koffi finds another. Throws Error where there is none.
 */
export const koffi = lazily((): typeof Koffi => {
  try {
    return load(`@koromix/koffi-${process.platform}-${process.arch}`);
  } catch {
    return load("koffi");
  }
});
