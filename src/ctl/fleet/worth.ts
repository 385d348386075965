import type { Output } from "../terminal/output.ts";
import { worthLines } from "../worth.ts";

interface Worth {
  readonly exact: boolean;
  readonly hint?: string;
  readonly blockers: never[];
  readonly stale: readonly string[];
  readonly unreadable: readonly string[];
}

/** What an answer about a fleet is worth, for people. */
export function fleetWorth(worth: Worth, out: Output): string[] {
  const { stale, unreadable } = worth;
  const hint = worth.hint ?? "some hosts are not exact";
  return [
    ...(stale.length > 0 ? [`${out.paint("warns", "stale")}: ${some(stale)} changed the answer`] : []),
    ...(unreadable.length > 0
      ? [`${out.paint("warns", "unreadable")}: ${some(unreadable)}, not in the answer`]
      : []),
    ...worthLines({ ...worth, hint }, out),
  ];
}

/** Those of which something is known. */
export function everywhere({ size }: { readonly size: number }): string {
  return size === 1 ? "on the one host" : `on all ${size} hosts`;
}

/** How many hosts are named for people; scripts get all. */
const NAMED = 5;

export function some(hosts: readonly string[]): string {
  const more = hosts.length > NAMED ? ` and ${hosts.length - NAMED} more` : "";
  return hosts.slice(0, NAMED).join(", ") + more;
}
