import { UsageError } from "../../command-line.ts";
import { suggestion } from "../../nearest.ts";
import { wrap } from "../../picture/wrap.ts";
import type { Paint, Role } from "./paint.ts";

/** One column of a table about `Row`s. */
export interface Column<Row> {
  /** For -o; in capitals it is the heading. */
  readonly name: string;
  of(row: Row): string;
  role?(row: Row): Role | undefined;
  readonly align?: "right";
  /** Shown only when -o asks for it. */
  readonly hidden?: true;
  /** As the last one it goes on below itself where the terminal is too narrow, and is not cut. */
  readonly wraps?: true;
  /** Left out while every row has nothing there, or the same as in none. */
  readonly optional?: true;
}

/** What -o may name of a table. */
export type Columns = readonly { readonly name: string }[] | undefined;

export interface TableStyle {
  readonly paint: Paint;
  readonly legend: boolean;
  /** Columns of the terminal; undefined where lines may have any length. */
  readonly width: number | undefined;
  /** What -o names. */
  readonly columns: readonly string[] | undefined;
}

const GAP = "  ";
/** From where on text can be wrapped. */
const NARROWEST = 16;
/** What stands for nothing. */
const NOTHING = "-";

/** Rows as aligned lines. Where the terminal is too narrow, the last column is cut or wrapped. @throws UsageError */
export function table<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  style: TableStyle,
): string[] {
  const chosen = choose(columns, rows, style.columns);
  const cells = rows.map((row) =>
    chosen.map((column) => ({ text: column.of(row) || NOTHING, role: column.role?.(row) })),
  );
  const headings = chosen.map(({ name }) => ({
    text: name.toUpperCase(),
    role: "heading" as Role | undefined,
  }));
  const lines = style.legend ? [headings, ...cells] : cells;
  const widths = chosen.map((_, at) =>
    lines.reduce((width, line) => Math.max(width, line[at]?.text.length ?? 0), 0),
  );
  const before = widths.slice(0, -1).reduce((sum, width) => sum + width + GAP.length, 0);
  const room = style.width === undefined ? Number.POSITIVE_INFINITY : Math.max(style.width - before, 8);
  return lines.flatMap((line) => {
    const last = line.at(-1);
    const [first = "", ...more] = last ? fitted(last.text, room, chosen.at(-1)?.wraps ?? false) : [];
    const cells = line.map(({ text, role }, at) => {
      const isLast = at === chosen.length - 1;
      const shown = isLast ? first : text;
      const space = " ".repeat(Math.max(0, (widths[at] ?? 0) - shown.length));
      const painted = style.paint(role, shown);
      if (chosen[at]?.align === "right") return space + painted;
      return isLast ? painted : painted + space;
    });
    return [cells.join(GAP), ...more.map((text) => " ".repeat(before) + style.paint(last?.role, text))];
  });
}

/** A text on lines of so many columns, or on one that is cut. */
function fitted(text: string, room: number, wraps: boolean): string[] {
  if (text.length <= room) return [text];
  return wraps && room >= NARROWEST ? wrap(text, room) : [`${text.slice(0, room - 1)}…`];
}

function choose<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  names: readonly string[] | undefined,
): Column<Row>[] {
  if (names) return names.map((name) => columnNamed(columns, name));
  return columns.filter(
    ({ hidden, optional, of }) => !hidden && !(optional && rows.every((row) => of(row) === "")),
  );
}

/** @throws UsageError */
export function columnNamed<Named extends { readonly name: string }>(
  columns: readonly Named[],
  name: string,
): Named {
  const known = columns.map((column) => column.name);
  const found = columns.find((column) => column.name === name);
  if (found) return found;
  throw new UsageError(
    `there is no column "${name}"${suggestion(name, known)} (there are: ${known.join(", ")})`,
  );
}
