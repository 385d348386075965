import type { Result } from "../../client/index.ts";
import { defineCommand } from "../command.ts";
import { atLeastOne } from "../need.ts";
import { RESERVED_COLUMNS, reservedLines } from "../reserved-ranges.ts";

export const reserved = defineCommand({
  options: {},
  columns: () => RESERVED_COLUMNS,
  async run({ args, out, daemon }) {
    const devices = atLeastOne(args, "the device");
    const client = await daemon.connect();
    const answers = await Promise.all(
      devices.map((device) => client.call("query-reserved-ranges", { device })),
    );
    await client.close();
    for (const [at, answer] of answers.entries()) {
      if (at > 0 && out.json === "off") out.print("");
      out.answer<Result<"query-reserved-ranges">>(answer, () => reservedLines(answer, out));
    }
    return 0;
  },
});
