import { type Cause, causesText } from "../picture/causes.ts";
import { inCommands } from "./in-commands.ts";
import { rangeText, sizeOf, type WireRange } from "./ranges.ts";
import type { Output } from "./terminal/output.ts";

/** A window of a layout, as far as it does not fit. */
interface Window {
  readonly name: string;
  readonly conflicts: readonly (WireRange & { readonly causes: readonly Cause[] })[];
  readonly misaligned?: boolean;
}

interface Remedy {
  readonly kind: string;
  readonly detail: string;
}

/** What forbids the windows that do not fit. */
export function conflictLines(windows: readonly Window[], out: Output): string[] {
  const all = windows.flatMap(({ name, conflicts, misaligned }) => [
    ...conflicts.map((each) => `${name}: ${rangeText(each)} (${sizeOf(each)}) ${causesText(each.causes)}`),
    ...(misaligned ? [`${name}: starts or ends off the alignment`] : []),
  ]);
  return all.flatMap((line) =>
    out.wrapped(line, 4).map((part, at) => (at === 0 ? `  ${part}` : `    ${part}`)),
  );
}

/** What can be done. To probe is what the hint of an answer that is not exact says already. */
export function remedyLines(remedies: readonly Remedy[], out: Output): string[] {
  return remedies
    .filter(({ kind }) => kind !== "probe")
    .flatMap(({ kind, detail }) =>
      out.note("heading", "remedy", inCommands(detail) + (TRIED_BY[kind] ?? "")),
    );
}

/** How to ask whether it helps, where the remedy does not say so itself. */
const TRIED_BY: Partial<Record<Remedy["kind"], string>> = {
  "amd-vcpu": "; --machine TYPE,amd-vcpu=on shows it",
};
