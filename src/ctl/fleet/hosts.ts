import { hostsAnswer } from "../../fleet/answers.ts";
import { EXIT } from "../exit-status.ts";
import { noMore } from "../need.ts";
import type { Column } from "../terminal/table.ts";
import { askFleet } from "./options.ts";
import type { Answering } from "./questions.ts";

type Host = ReturnType<typeof hostsAnswer>["hosts"][number];

const COLUMNS: readonly Column<Host>[] = [
  { name: "host", of: ({ host }) => host },
  {
    name: "state",
    of: ({ state }) => state,
    role: ({ state }) => (state === "fresh" ? "fits" : state === "stale" ? "warns" : "blocks"),
  },
  { name: "age", align: "right", of: ({ age }) => (age === null ? "" : `${Math.round(age)} s`) },
  { name: "devices", align: "right", of: ({ devices }) => `${devices ?? ""}` },
  { name: "free", align: "right", of: ({ available }) => `${available ?? ""}` },
  { name: "exact", of: ({ exact, devices }) => (devices === null ? "" : exact ? "yes" : "no") },
  { name: "class", of: (host) => host.class ?? "" },
  { name: "digest", hidden: true, of: ({ digest }) => digest ?? "" },
  { name: "published", hidden: true, of: ({ published }) => published ?? "" },
];

/** Which hosts there are, and what their word is worth. Hosts of one class are alike. */
export const hosts: Answering = {
  options: {},
  columns: COLUMNS,
  async answer({ args, options, out, errors }) {
    noMore(args);
    const { fleet, pool, now } = await askFleet({ options, errors });
    const chosen = new Set(pool.hosts.map(({ host }) => host));
    const answer = hostsAnswer(
      fleet.hosts(now).filter(({ host }) => chosen.has(host)),
      fleet,
      now,
    );
    out.answer(answer, () => [
      ...out.table(COLUMNS, answer.hosts),
      ...answer.troubles.map((trouble) => `${out.paint("warns", "trouble")}: ${trouble}`),
    ]);
    return EXIT.yes;
  },
};
