import { defineCommand } from "../command.ts";
import { parseIoasName } from "../ioas-name.ts";
import { exactlyOne } from "../need.ts";
import { RANGE_COLUMNS } from "../range-columns.ts";

export const allowed = defineCommand({
  options: {},
  async run({ args, out, daemon }) {
    const name = parseIoasName(exactlyOne(args, "the IO address space"));
    const client = await daemon.connect();
    const answer = await client.call("query-allowed-ranges", name);
    await client.close();
    out.answer(answer, () => [
      ...out.table(RANGE_COLUMNS, answer.ranges),
      ...out.facts([
        ["IOAS", `${answer.context}/${answer.ioas}`],
        ["devices", answer.devices.join(" ") || out.paint("warns", "none, so this is no promise")],
        ["alignment", answer["iova-alignment"]],
      ]),
    ]);
    return 0;
  },
});
