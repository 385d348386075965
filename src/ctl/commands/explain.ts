import { defineCommand } from "../command.ts";
import { EXCLUSION_COLUMNS } from "../exclusion-columns.ts";
import { IOAS_OPTION, sourceParams } from "../guest.ts";
import { atLeastOne } from "../need.ts";
import { parseRange, rangeText, sizeOf } from "../ranges.ts";
import { worthLines } from "../worth.ts";

export const explain = defineCommand({
  options: { ...IOAS_OPTION },
  details: [
    "RANGE is 0xSTART-0xLAST (inclusive), 0xSTART+SIZE, or one address. Without devices it is about all of the host.",
  ],
  columns: () => EXCLUSION_COLUMNS,
  async run({ args, options, out, daemon }) {
    const [range, ...devices] = atLeastOne(args, "the range");
    const params = { ...parseRange(range), ...sourceParams(devices, options) };
    const client = await daemon.connect();
    const answer = await client.call("explain-range", params);
    await client.close();
    const { allowed, excluded = [] } = answer;
    out.answer(answer, () => [
      ...(excluded.length > 0 ? out.table(EXCLUSION_COLUMNS, excluded) : []),
      ...allowed.map((each) => `${out.paint("fits", "usable")}: ${rangeText(each)} (${sizeOf(each)})`),
      ...(allowed.length === 0 ? [out.paint("blocks", "Nothing of it is usable.")] : []),
      ...worthLines(answer, out),
    ]);
    return 0;
  },
});
