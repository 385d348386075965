import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const UNIT = new URL("../../systemd/iovad.service", import.meta.url).pathname;

/** What systemd's sets of system calls have, by the set's name; sets may be among it. */
function systemdSets(): Map<string, string[]> {
  const { stdout } = spawnSync("systemd-analyze", ["syscall-filter", "--no-pager"], { encoding: "utf8" });
  const sets = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of stdout.split("\n")) {
    const [, set, call] = /^(@[\w-]+)$|^ {4}([@\w-]+)$/.exec(line) ?? [];
    if (call) current.push(call);
    if (!set) continue;
    current = [];
    sets.set(set, current);
  }
  return sets;
}

const sets = systemdSets();

/** The calls of a set, or the call itself. */
export const callsOf = (name: string): string[] =>
  name.startsWith("@") ? (sets.get(name) ?? []).flatMap(callsOf) : [name];

/** The unit's lists, in their order. */
const lists = Array.from(
  readFileSync(UNIT, "utf8").matchAll(/^SystemCallFilter=(~?)(.*)$/gm),
  ([, taken, names = ""]) => ({ isTaken: taken === "~", names: names.split(" ") }),
);

/** Sets and calls that the unit lists as allowed. */
export const allowedNames = lists.filter(({ isTaken }) => !isTaken).flatMap(({ names }) => names);

/** What it lets through; @default is in every list of what is allowed (systemd.exec(5)). */
export function allowedCalls(): Set<string> {
  const all = new Set(callsOf("@default"));
  for (const { isTaken, names } of lists)
    for (const call of names.flatMap(callsOf)) isTaken ? all.delete(call) : all.add(call);
  return all;
}

/** The names of the calls in what strace writes, with or without the process before each. */
export const callsIn = (text: string): string[] =>
  Array.from(text.matchAll(/^(?:\d+ +)?(\w+)\(/gm), ([, name]) => name as string);
