import { loadLibrary } from "./library.ts";

/**
 * Has the kernel end this process after so many seconds (alarm(2)), whatever it is at by then: process.exit() waits for
 * threads, and one may be in a system call that takes its time.
 */
export function loadAlarm(): (seconds: number) => void {
  return loadLibrary()("unsigned int alarm(unsigned int seconds)");
}
