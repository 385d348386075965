import { sizeOf, type WireRange } from "./ranges.ts";
import type { Column } from "./terminal/table.ts";

/** The columns that every table of ranges begins with: exact addresses, and the size for people. */
export const RANGE_COLUMNS: readonly Column<WireRange>[] = [
  { name: "start", align: "right", of: ({ start }) => start },
  { name: "last", align: "right", of: ({ last }) => last },
  { name: "size", align: "right", of: sizeOf },
];
