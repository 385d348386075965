import { parseAddress } from "../ranges/address.ts";
import type { Range } from "../ranges/range.ts";
import { type Cause, causesText, kindOf } from "./causes.ts";
import type { Lane, Note, Part } from "./picture.ts";

interface WireRange {
  readonly start: string;
  readonly last: string;
}

/** What predict-allowed-ranges answers, as far as it can be seen. */
export interface AllowedAnswer {
  readonly ranges: readonly WireRange[];
  readonly excluded?: readonly (WireRange & { readonly causes: readonly Cause[] })[] | undefined;
}

/** A window as check-layout answers it. */
export interface CheckedWindow extends WireRange {
  readonly name: string;
  readonly conflicts: readonly WireRange[];
}

export function laneOfAllowed(title: string, { ranges, excluded = [] }: AllowedAnswer): Lane {
  const usable = ranges.map((range): Part => ({ ...toRange(range), kind: "usable", label: "usable" }));
  const others = excluded.map((each): Part => {
    const label = [...new Set(each.causes.map(kindOf))].join(", ");
    return { ...toRange(each), kind: "excluded", label };
  });
  return { title, parts: joined([...usable, ...others].sort(byStart)) };
}

/** A guest's windows; what of them cannot be used stands out. */
export function laneOfWindows(title: string, windows: readonly CheckedWindow[]): Lane {
  const parts = windows.flatMap(({ name, conflicts, ...window }) => {
    let from = toRange(window).start;
    const { last } = toRange(window);
    const pieces: Part[] = [];
    for (const conflict of conflicts.map(toRange).sort(byStart)) {
      if (conflict.start > from)
        pieces.push({ start: from, last: conflict.start - 1n, kind: "window", label: name });
      pieces.push({ ...conflict, kind: "conflict", label: name });
      from = conflict.last + 1n;
    }
    if (from <= last) pieces.push({ start: from, last, kind: "window", label: name });
    return pieces;
  });
  return { title, parts: parts.sort(byStart) };
}

/** Who excludes what, for the side. */
export function notesOf({ excluded = [] }: AllowedAnswer): Note[] {
  return excluded.map((each) => ({ ...toRange(each), text: causesText(each.causes) }));
}

/** Neighbours that look the same are one part: their causes stand at the side. */
function joined(parts: readonly Part[]): Part[] {
  const all: Part[] = [];
  for (const part of parts) {
    const before = all.at(-1);
    if (
      before &&
      before.last + 1n === part.start &&
      before.kind === part.kind &&
      before.label === part.label
    ) {
      all[all.length - 1] = { ...before, last: part.last };
    } else all.push(part);
  }
  return all;
}

function toRange({ start, last }: WireRange): Range {
  return { start: parseAddress(start), last: parseAddress(last) };
}

function byStart(a: Range, b: Range): number {
  return a.start < b.start ? -1 : a.start > b.start ? 1 : 0;
}
