import { RANGE_COLUMNS } from "./range-columns.ts";
import type { Column } from "./terminal/table.ts";

/** A window of a layout, as a host's answer and a fleet's have it. */
interface Window {
  readonly name: string;
  readonly start: string;
  readonly last: string;
  readonly fits: boolean;
  readonly required: boolean;
}

export const WINDOW_COLUMNS: readonly Column<Window>[] = [
  { name: "window", of: ({ name }) => name },
  ...RANGE_COLUMNS,
  {
    name: "fits",
    of: ({ fits, required }) => (fits ? "yes" : required ? "no" : "no, need not"),
    role: ({ fits, required }) => (fits ? "fits" : required ? "blocks" : "warns"),
  },
];
