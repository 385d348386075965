import { setFlagsFromString } from "node:v8";

/**
 * What V8 is told of its heap: by itself it lets the room for new objects double up to 16 MiB, and on a large host those that
 * live on, as the parts of a large answer do, then take 20 ms and more to be moved, in which others have to wait. Of 2 MiB,
 * which a start needs, it takes 5 ms, and the answer is there sooner. When nobody asks for some seconds V8 halves it, and again.
 */
const GROWTH = "semi-space-growth-factor";
/** Garbage is looked for when the heap has grown by so many percent of what was in use; by itself at 300 at most. */
const PATIENCE = "heap-growing-percent";

const set = (flag: string, value: number) => setFlagsFromString(`--${flag}=${value}`);

/** For the start: to divide a MiB of new objects among threads takes more than it spares. No code cache minds this one. */
export function startAlone(): void {
  setFlagsFromString("--no-parallel-scavenge");
}

/**
 * For a daemon that is loaded, and knows nothing of its host, not even of one that is simulated. With other flags V8
 * takes none of Node's own code caches any more, so what is still to come is loaded before: for listen() all of cluster
 * (`lib/net.js: listenInCluster`), which takes twenty times as long without.
 */
export function tuneHeap(): void {
  process.getBuiltinModule("node:cluster");
  setFlagsFromString("--parallel-scavenge");
  set(GROWTH, 1);
  set(PATIENCE, 75);
}

/** As V8 has them by itself: a code cache is good for a process with the flags that it was made with. */
export function untuneHeap(): void {
  set(GROWTH, 2);
  set(PATIENCE, 0);
}
