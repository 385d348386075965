import { loadLibrary } from "./library.ts";

/**
 * Has the kernel end this process after so many seconds (alarm(2)), whatever it is at by then: process.exit() waits for
 * threads, and one may be in a system call that takes its time.
 */
export function loadAlarm(): (seconds: number) => void {
  const alarm = loadLibrary()("unsigned int alarm(unsigned int seconds)");
  // Bound now: it is called when something has gone wrong. There is none yet that this could take back.
  alarm(0);
  return alarm;
}
