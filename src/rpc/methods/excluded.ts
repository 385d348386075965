import type * as z from "zod";
import type { Exclusion } from "../../attribution/attribution.ts";
import type { Cause } from "../../attribution/cause.ts";
import { exclusions, type Plan } from "../../plan/plan.ts";
import type { RangeSet } from "../../ranges/range-set.ts";
import { JsonElements } from "../json-elements.ts";
import type { Call } from "../method.ts";
import { exclusionBegin, exclusionEnd, type wireExclusion } from "../wire.ts";
import { HINT_LIMIT, hintsFor, isUnaccounted } from "./hints.ts";
import { causeBudget } from "./planning-limits.ts";

const FEWER_CAUSES =
  "leave them out with causes: false, or ask about part of the address space (explain-range)";

/** Causes that are put into words at a time. */
const TOGETHER = 256;

/** What a plan excludes within `within`, complete. Rejects with HostError LimitExceeded. */
export async function excludedBy(
  plan: Plan,
  within: RangeSet,
  call: Call,
): Promise<z.input<ReturnType<typeof wireExclusion>>[]> {
  const { limits, slice } = call;
  const spend = causeBudget(limits, FEWER_CAUSES);
  const texts = new CauseTexts();
  const elements = new JsonElements();
  // Only these are kept as they were found, with the place of their ends: there can be a hundred thousand others.
  const unaccounted = new Map<Exclusion, number>();
  for (const exclusion of exclusions(plan, within)) {
    if (exclusion === undefined) {
      if (slice.isOver) await slice.pass();
      continue;
    }
    spend(exclusion);
    const { causes } = exclusion;
    const isApart = unaccounted.size < HINT_LIMIT && isUnaccounted(exclusion);
    if (causes.length <= TOGETHER && !isApart) {
      elements.add(exclusionBegin(exclusion) + texts.of(causes) + exclusionEnd());
      continue;
    }
    elements.begin(exclusionBegin(exclusion));
    for (let i = 0; i < causes.length; i += TOGETHER) {
      elements.append((i === 0 ? "" : ",") + texts.of(causes.slice(i, i + TOGETHER)));
      if (slice.isOver) await slice.pass();
    }
    if (isApart) unaccounted.set(exclusion, elements.appendApart(exclusionEnd()));
    else elements.append(exclusionEnd());
  }
  for (const [exclusion, hint] of await hintsFor([...unaccounted.keys()], call)) {
    elements.replace(unaccounted.get(exclusion) as number, exclusionEnd(hint));
  }
  return elements.asArray();
}

/** Causes in JSON, of each of which many exclusions may be made. */
class CauseTexts {
  readonly #known = new Map<Cause, string>();

  /** With a comma in between. */
  of(causes: readonly Cause[]): string {
    return causes.length === 1
      ? this.#one(causes[0] as Cause)
      : causes.map((cause) => this.#one(cause)).join(",");
  }

  #one(cause: Cause): string {
    const known = this.#known.get(cause);
    if (known !== undefined) return known;
    const text = JSON.stringify(cause);
    this.#known.set(cause, text);
    return text;
  }
}
