import { UsageError } from "../../command-line.ts";
import { suggestion } from "../../nearest.ts";
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
  /** Left out while every row has nothing there, or the same as in none. */
  readonly optional?: true;
}

export interface TableStyle {
  readonly paint: Paint;
  readonly legend: boolean;
  /** Columns of the terminal; undefined where lines may have any length. */
  readonly width: number | undefined;
  /** What -o names. */
  readonly columns: readonly string[] | undefined;
}

const GAP = "  ";
/** What stands for nothing. */
const NOTHING = "-";

/** Rows as aligned lines. Where the terminal is too narrow, the last column is cut. @throws UsageError */
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
  const widths = chosen.map((_, at) => Math.max(0, ...lines.map((line) => line[at]?.text.length ?? 0)));
  const before = widths.slice(0, -1).reduce((sum, width) => sum + width + GAP.length, 0);
  const room = style.width === undefined ? Number.POSITIVE_INFINITY : Math.max(style.width - before, 8);
  return lines.map((line) =>
    line
      .map(({ text, role }, at) => {
        const isLast = at === chosen.length - 1;
        const cut = isLast && text.length > room ? `${text.slice(0, room - 1)}…` : text;
        const space = " ".repeat(Math.max(0, (widths[at] ?? 0) - cut.length));
        const painted = style.paint(role, cut);
        if (chosen[at]?.align === "right") return space + painted;
        return isLast ? painted : painted + space;
      })
      .join(GAP),
  );
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

function columnNamed<Row>(columns: readonly Column<Row>[], name: string): Column<Row> {
  const known = columns.map((column) => column.name);
  const found = columns.find((column) => column.name === name.toLowerCase());
  if (found) return found;
  throw new UsageError(
    `there is no column "${name}"${suggestion(name, known)} (there are: ${known.join(", ")})`,
  );
}
