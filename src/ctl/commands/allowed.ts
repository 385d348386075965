import { defineCommand } from "../command.ts";
import { parseIoasName } from "../ioas-name.ts";
import { exactlyOne } from "../need.ts";
import { RANGE_COLUMNS } from "../range-columns.ts";
import { rangeText, type WireRange } from "../ranges.ts";

/** What the kernel was told to keep usable. */
function namedRangeText({ name, ...range }: WireRange & { readonly name?: string | undefined }): string {
  return name === undefined ? rangeText(range) : `${name}=${rangeText(range)}`;
}

export const allowed = defineCommand({
  options: {},
  columns: () => RANGE_COLUMNS,
  async run({ args, out, daemon }) {
    const name = parseIoasName(exactlyOne(args, "the IO address space"));
    const client = await daemon.connect();
    const [answer, described] = await Promise.all([
      client.call("query-allowed-ranges", name),
      out.json === "off" ? client.call("query-ioas", name) : undefined,
    ]);
    await client.close();
    const kept = described?.ioas[0]?.["allow-list"];
    out.answer(answer, () => [
      ...out.table(RANGE_COLUMNS, answer.ranges),
      ...out.legend([
        ["IOAS", `${answer.context}/${answer.ioas}`],
        ["devices", answer.devices.join(" ") || out.paint("warns", "none, so this is no promise")],
        ["alignment", answer["iova-alignment"]],
        ["kept", kept ? kept.map(namedRangeText).join(" ") : undefined],
      ]),
    ]);
    return 0;
  },
});
