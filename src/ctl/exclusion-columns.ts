import type { Result } from "../client/index.ts";
import { causesText } from "../picture/causes.ts";
import { RANGE_COLUMNS } from "./range-columns.ts";
import type { Column } from "./terminal/table.ts";

/** An excluded range, and who excludes it. */
export type Exclusion = NonNullable<Result<"explain-range">["excluded"]>[number];

export const EXCLUSION_COLUMNS: readonly Column<Exclusion>[] = [
  ...RANGE_COLUMNS,
  {
    name: "because",
    of: ({ causes, hint }) => causesText(causes) + (hint === undefined ? "" : ` (${hint})`),
    role: () => "blocks",
    wraps: true,
  },
];
