import { lazily } from "../lazily.ts";
import { koffi } from "./koffi.ts";

/** A pointer argument: bytes of this thread, or an address that another thread of the process keeps alive. */
export type Pointer = Uint8Array | bigint;

/**
 * A function of the C library by its prototype. Calls return its result, or `-errno` as the kernel itself does: errno
 * is per thread and has to be read right after the call.
 */
export type Bind = (prototype: string) => (...parameters: (number | string | Pointer | null)[]) => number;

/**
 * Binds the C library this process already runs on, whichever that is (glibc, musl); each function when it is first called,
 * for a start needs few of them. Throws Error where native code cannot be loaded.
 */
export const loadLibrary = lazily((): Bind => {
  const { load, errno } = koffi();
  const library = load(null);
  return (prototype) => {
    const call = lazily(() => library.func(prototype));
    return (...parameters) => {
      const result: number = call()(...parameters);
      return result < 0 ? -errno() : result;
    };
  };
});

/**
 * Where the bytes are. Asking moves small arrays out of V8's heap for good, so the address is valid for as long as
 * the array is referenced; nothing but the caller's reference keeps it so.
 */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi().address(bytes);
}
