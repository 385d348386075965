import { outliersAnswer } from "../../fleet/answers.ts";
import { worthOf } from "../../plan/fleet/check.ts";
import { outliersOf } from "../../plan/fleet/outliers.ts";
import { poolPlan } from "../../plan/fleet/pool.ts";
import { parseAddress } from "../../ranges/address.ts";
import { humanSize } from "../../ranges/size.ts";
import { EXIT } from "../exit-status.ts";
import { noMore } from "../need.ts";
import { rangeText, sizeOf } from "../ranges.ts";
import { askKnown } from "./options.ts";
import type { Answering } from "./questions.ts";
import { fleetWorth, some } from "./worth.ts";

/** How many ranges of an outlier are shown to people. */
const SHOWN = 4;

/** Which hosts cost the others which addresses, greatest loss first. */
export const outliers: Answering = {
  options: {},
  async answer({ args, out, errors, options }) {
    noMore(args);
    const { pool } = await askKnown({ options, errors });
    const answer = outliersAnswer(outliersOf(pool), worthOf(poolPlan(pool), pool));
    out.answer(answer, () => [
      ...(answer.outliers.length === 0
        ? [
            pool.size === 1
              ? "One host alone does not stand out."
              : `None of the ${pool.size} hosts stands out.`,
          ]
        : []),
      ...answer.outliers.flatMap(({ hosts, ranges, bytes, gain }) => {
        const names = some(hosts.map(({ host }) => host));
        const more = ranges.length > SHOWN ? [`  and ${ranges.length - SHOWN} ranges more`] : [];
        const [first] = hosts;
        return [
          `${out.paint("heading", names)} cost the pool ${size(bytes)}; without ${hosts.length === 1 ? "it" : "them"} it gains ${size(gain)}`,
          ...ranges.slice(0, SHOWN).map((range) => `  ${rangeText(range)}  ${sizeOf(range)}`),
          ...more,
          ...(first && first.devices.length > 0 ? [`  by ${first.devices.join(", ")} (${first.host})`] : []),
        ];
      }),
      ...(answer.more > 0 ? [`and ${answer.more} outliers more, of less loss`] : []),
      ...fleetWorth(answer, out),
    ]);
    return EXIT.yes;
  },
};

function size(bytes: string): string {
  return humanSize(parseAddress(bytes));
}
