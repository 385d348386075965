import { setFlagsFromString } from "node:v8";

/**
 * What V8 is told of its heap, and what it takes by itself. Garbage is looked for when the heap has grown by 75 percent of
 * what was in use: V8 waits for 300 on a machine with much memory, and what clients threw away stays resident till then.
 * New objects keep the room that they have after the start, 1 MiB: in the 16 that V8 would give them on a large host, those
 * that live on, as the parts of a large answer do, take 20 ms and more to be moved, in which others have to wait.
 */
const FLAGS = [
  { name: "heap-growing-percent", ours: 75, own: 0 },
  { name: "semi-space-growth-factor", ours: 1, own: 2 },
] as const;

/** For a daemon that is loaded, and knows nothing of its host yet. */
export function tuneHeap(): void {
  for (const { name, ours } of FLAGS) setFlagsFromString(`--${name}=${ours}`);
}

/** As before {@link tuneHeap}: a code cache is good for a process with the flags that it was made with. */
export function untuneHeap(): void {
  for (const { name, own } of FLAGS) setFlagsFromString(`--${name}=${own}`);
}
