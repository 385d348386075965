import { UsageError } from "../../command-line.ts";
import { defineCommand } from "../command.ts";
import { parseIoasName } from "../ioas-name.ts";
import { atLeastOne } from "../need.ts";
import { RANGE_COLUMNS } from "../range-columns.ts";
import { parseRange } from "../ranges.ts";

export const allow = defineCommand({
  options: { clear: { type: "boolean", about: "keep nothing usable any more" } },
  columns: (_args, { clear }) => (clear ? undefined : RANGE_COLUMNS),
  details: [
    "From then on the kernel refuses every device that would take one of the ranges away. The list replaces the one that was.",
  ],
  async run({ args, options: { clear }, out, daemon }) {
    const [name, ...texts] = atLeastOne(args, "the IO address space");
    const ranges = texts.map(parseRange);
    if (clear ? ranges.length > 0 : ranges.length === 0) {
      throw new UsageError("give the ranges to keep usable, as in 0x0+8G, or --clear");
    }
    const client = await daemon.connect();
    const answer = await client.call("allow-ranges", { ...parseIoasName(name), ranges });
    await client.close();
    out.answer(answer, () =>
      answer.ranges.length === 0
        ? ["Nothing is kept usable any more."]
        : out.table(RANGE_COLUMNS, answer.ranges),
    );
    return 0;
  },
});
