import { wrap } from "../../picture/wrap.ts";
import type { Output } from "../terminal/output.ts";
import type { Role } from "../terminal/paint.ts";
import type { Finding, State } from "./finding.ts";

export const STATE_ROLES: Readonly<Record<State, Role>> = { ok: "fits", warning: "warns", failure: "blocks" };

/** Before the text of a finding. */
const INDENT = 11;

/** Findings by group, each with its evidence, and its remedy on lines of its own. */
export function findingLines(findings: readonly Finding[], out: Output): string[] {
  const groups = [...new Set(findings.map(({ group }) => group))];
  return groups.flatMap((group) => [
    out.paint("heading", group),
    ...findings
      .filter((finding) => finding.group === group)
      .flatMap(({ check, state, evidence, remedy }) => [
        ...hanging(
          `  ${out.paint(STATE_ROLES[state], state.padEnd(INDENT - 2))}`,
          `${check}: ${evidence}`,
          out,
        ),
        ...(remedy === undefined ? [] : hanging(" ".repeat(INDENT), `→ ${remedy}`, out)),
      ]),
  ]);
}

/** Text beside its head, within the terminal's width where there is one. */
export function hanging(head: string, text: string, { width }: Output): string[] {
  const lines = width === undefined ? [text] : wrap(text, Math.max(width - INDENT, 20));
  return lines.map((line, at) => (at === 0 ? head : " ".repeat(INDENT)) + line);
}
