import type { Result } from "../../client/index.ts";
import { defineCommand } from "../command.ts";
import { noMore } from "../need.ts";
import type { Column } from "../terminal/table.ts";

type Context = Result<"query-contexts">["contexts"][number];

const COLUMNS: readonly Column<Context>[] = [
  { name: "context", of: ({ context }) => context },
  { name: "lease", of: ({ lease }) => lease },
  { name: "shared", of: ({ shared }) => (shared ? "yes" : "no") },
  { name: "ioas", of: ({ ioas }) => ioas.join(" ") },
  { name: "devices", of: ({ devices }) => devices.join(" "), wraps: true },
];

export const contexts = defineCommand({
  options: {},
  columns: () => COLUMNS,
  async run({ args, out, daemon }) {
    noMore(args);
    const client = await daemon.connect();
    const answer = await client.call("query-contexts");
    await client.close();
    out.answer(answer, ({ contexts }) => out.table(COLUMNS, contexts));
    return 0;
  },
});
