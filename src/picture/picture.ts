import { U64_MAX } from "../ranges/address.ts";
import type { Range } from "../ranges/range.ts";

/** What can lie in a part of a lane. Colour and filling follow from it. */
export type Kind = "usable" | "excluded" | "window" | "conflict";

/** A stretch of a lane. */
export interface Part extends Range {
  readonly kind: Kind;
  readonly label: string;
}

/** The address space as one sees it: a device, what several have in common, a guest. Parts ascend and are disjoint. */
export interface Lane {
  readonly title: string;
  readonly parts: readonly Part[];
}

/** What stands at the side of a stretch. */
export interface Note extends Range {
  readonly text: string;
}

/** The address space as several see it, side by side. */
export interface Picture {
  readonly lanes: readonly Lane[];
  readonly notes: readonly Note[];
}

/** A stretch within which nothing changes in any lane. */
export interface Row extends Range {
  /** One a lane; undefined where nothing lies. */
  readonly cells: readonly (Cell | undefined)[];
  readonly notes: readonly string[];
}

/** A part as far as it lies in a row. */
export interface Cell {
  readonly part: Part;
  /** The part begins in this row. */
  readonly isFirst: boolean;
}

/** The whole address space from below, cut wherever something begins or ends. */
export function rowsOf({ lanes, notes }: Picture): Row[] {
  const edges = new Set([0n]);
  for (const { start, last } of [...lanes.flatMap(({ parts }) => parts), ...notes]) {
    edges.add(start);
    if (last < U64_MAX) edges.add(last + 1n);
  }
  const starts = [...edges].sort((a, b) => (a < b ? -1 : 1));
  return starts.map((start, at) => {
    const next = starts[at + 1];
    const range = { start, last: next === undefined ? U64_MAX : next - 1n };
    return {
      ...range,
      cells: lanes.map(({ parts }) => cellAt(parts, start)),
      notes: notes.filter((note) => note.start <= start && start <= note.last).map(({ text }) => text),
    };
  });
}

function cellAt(parts: readonly Part[], start: bigint): Cell | undefined {
  const part = parts.find((each) => each.start <= start && start <= each.last);
  return part && { part, isFirst: part.start === start };
}

/** Lanes that show the same become one. */
export function mergeAlike(lanes: readonly Lane[]): Lane[] {
  const alike = new Map<string, { lane: Lane; count: number }>();
  for (const lane of lanes) {
    const shape = lane.parts
      .map(({ start, last, kind, label }) => `${start}-${last} ${kind} ${label}`)
      .join();
    const known = alike.get(shape);
    if (known) known.count++;
    else alike.set(shape, { lane, count: 1 });
  }
  return Array.from(alike.values(), ({ lane, count }) =>
    count === 1 ? lane : { ...lane, title: `${lane.title} +${count - 1}` },
  );
}
