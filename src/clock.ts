/**
 * Milliseconds of a clock that only goes on, whatever the time of day is set to, and stands while the host is suspended
 * (CLOCK_MONOTONIC, uv_hrtime). `performance` tells the same, and loads nine modules of Node.js before it does, for which
 * the first client would wait.
 */
export function monotonic(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}

/** The time of day when this is called, in milliseconds since 1970, and from then on by the clock above. */
export function steadyTime(): () => number {
  const origin = Date.now() - monotonic();
  return () => origin + monotonic();
}
