import type { Result } from "../client/index.ts";
import { inCommands } from "./in-commands.ts";
import { rangeText } from "./ranges.ts";
import type { Output } from "./terminal/output.ts";

type Worth = Pick<Result<"explain-range">, "exact" | "hint" | "blockers">;
type Blocker = Worth["blockers"][number];

/** What an answer of the planning methods is worth, and what keeps its devices from guests. */
export function worthLines({ exact, hint, blockers }: Worth, out: Output): string[] {
  return [
    ...blockers.flatMap((blocker) =>
      out.note("blocks", `${blocker.device}: ${blocker.reason}`, blockerText(blocker)),
    ),
    ...(exact
      ? []
      : out.note("warns", "not exact", inCommands(hint ?? "not every aperture is known from the kernel"))),
  ];
}

/** What stands in the way of a device, the region that it is about first. */
export function blockerText({ region, detail }: Pick<Blocker, "region" | "detail">): string {
  return (region ? `${rangeText(region)}: ` : "") + inCommands(detail);
}
