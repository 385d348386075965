import type { Journal } from "./journal.ts";

/** The entry that has it. */
const RESTARTS = "restarts";

/** How often the state was taken over from an earlier life, this time included; to be called once in a life. */
export function countRestarts(journal: Journal): number {
  const count = journal.isInherited ? Number(journal.entries.get(RESTARTS) ?? 0) + 1 : 0;
  journal.put(RESTARTS, `${count}`);
  return count;
}
