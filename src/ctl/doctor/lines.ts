import { counted } from "../counted.ts";
import type { Output } from "../terminal/output.ts";
import type { Role } from "../terminal/paint.ts";
import type { Finding, State } from "./finding.ts";

const STATE_ROLES: Readonly<Record<State, Role>> = { ok: "fits", warning: "warns", failure: "blocks" };

/** Before the text of a finding. */
const INDENT = 11;

/** Findings by group, each with its evidence, and its remedy on lines of its own. */
export function findingLines(findings: readonly Finding[], out: Output): string[] {
  const groups = [...new Set(findings.map(({ group }) => group))];
  const all = groups.flatMap((group) => [
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
  return [...all, verdict(findings, out)];
}

/** What the whole comes to. */
function verdict(findings: readonly Finding[], out: Output): string {
  const count = (state: State) => findings.filter((finding) => finding.state === state).length;
  const [failures, warnings] = [count("failure"), count("warning")];
  if (failures > 0)
    return out.paint("blocks", `${counted(failures, "failure")}, ${counted(warnings, "warning")}`);
  return warnings > 0
    ? out.paint("warns", `no failure, ${counted(warnings, "warning")}`)
    : out.paint("fits", "all is well");
}

/** Text beside its head, within the terminal's width where there is one. */
export function hanging(head: string, text: string, out: Output): string[] {
  return out.wrapped(text, INDENT).map((line, at) => (at === 0 ? head : " ".repeat(INDENT)) + line);
}
