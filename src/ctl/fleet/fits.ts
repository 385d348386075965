import { UsageError } from "../../command-line.ts";
import { fitsAnswer } from "../../fleet/answers.ts";
import { guestOf } from "../../fleet/guest.ts";
import { fitsOf } from "../../plan/fleet/fits.ts";
import { EXIT } from "../exit-status.ts";
import { GUEST_OPTIONS, guestParams } from "../guest.ts";
import { noMore } from "../need.ts";
import type { Column } from "../terminal/table.ts";
import { askFleet, parseWant, WANT_OPTION } from "./options.ts";
import type { Answering } from "./questions.ts";

type Host = ReturnType<typeof fitsAnswer>["hosts"][number] & { readonly isStale: boolean };

const COLUMNS: readonly Column<Host>[] = [
  { name: "host", of: ({ host }) => host },
  { name: "fits", of: ({ fits }) => (fits ? "yes" : "no"), role: ({ fits }) => (fits ? "fits" : "blocks") },
  { name: "exact", of: ({ fits, exact }) => (!fits ? "" : exact ? "yes" : "no") },
  { name: "reason", optional: true, of: reasonOf },
  {
    name: "devices",
    of: ({ fits, devices, detail }) => (fits ? devices.join(" ") : (detail ?? "")),
    wraps: true,
  },
];

function reasonOf({ reason, isStale }: Host): string {
  return reason === undefined ? "" : reason !== "stale" && isStale ? `${reason}, stale` : reason;
}

/** Which hosts can take a guest with so many devices, and why the others cannot. */
export const fits: Answering = {
  options: { ...GUEST_OPTIONS, ...WANT_OPTION },
  columns: COLUMNS,
  async answer({ args, out, errors, options }) {
    noMore(args);
    const wants = (options.want ?? []).map(parseWant);
    const { windows } = guestOf(guestParams(options));
    if (windows.length === 0 && wants.length === 0) {
      throw new UsageError("which guest? give -m, --machine, --mtree or --layout, or --want; try --help");
    }
    const { pool } = await askFleet({ options, errors });
    const answer = fitsAnswer(fitsOf(pool, windows, wants), pool);
    const stale = new Set(answer.stale);
    const rows = answer.hosts.map((each) => ({ ...each, isStale: stale.has(each.host) }));
    out.answer(answer, () => out.table(COLUMNS, rows));
    return answer.fits ? EXIT.yes : EXIT.no;
  },
};
