import type { Result } from "../client/index.ts";
import type { Output } from "./terminal/output.ts";

type Worth = Pick<Result<"explain-range">, "exact" | "hint" | "blockers">;

/** What an answer of the planning methods is worth, and what keeps its devices from guests. */
export function worthLines({ exact, hint, blockers }: Worth, out: Output): string[] {
  return [
    ...blockers.map(
      ({ device, reason, detail }) => `${out.paint("blocks", `${device}: ${reason}`)}: ${detail}`,
    ),
    ...(exact
      ? []
      : [`${out.paint("warns", "not exact")}: ${hint ?? "not every aperture is known from the kernel"}`]),
  ];
}
