import type { Result } from "../../client/index.ts";
import { defineCommand } from "../command.ts";
import { noMore } from "../need.ts";
import type { Column } from "../terminal/table.ts";

const COLUMNS: readonly Column<Result<"query-commands">["commands"][number]>[] = [
  { name: "method", of: ({ name }) => name },
  { name: "role", of: ({ role }) => role },
  { name: "summary", of: ({ summary }) => summary },
];

export const methods = defineCommand({
  options: {},
  columns: () => COLUMNS,
  async run({ args, out, daemon }) {
    noMore(args);
    const client = await daemon.connect();
    const answer = await client.call("query-commands");
    await client.close();
    out.answer(answer, ({ commands }) => out.table(COLUMNS, commands));
    return 0;
  },
});
