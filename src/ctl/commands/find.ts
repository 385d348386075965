import { formatAddress } from "../../ranges/address.ts";
import { defineCommand } from "../command.ts";
import { EXIT } from "../exit-status.ts";
import { IOAS_OPTION, someSource } from "../guest.ts";
import { atLeastOne } from "../need.ts";
import { parseBound, parseBytes, parseRange, rangeText, sizeOf } from "../ranges.ts";
import { worthLines } from "../worth.ts";

export const find = defineCommand({
  options: {
    ...IOAS_OPTION,
    alignment: { type: "string", value: "SIZE", about: "of the first address: a power of two" },
    "not-below": { type: "string", value: "ADDRESS", about: "nothing below this, as in 0x100000000 or 4G" },
    "not-above": { type: "string", value: "ADDRESS", about: "nothing above this, inclusive" },
    avoid: { type: "string", multiple: true, value: "RANGE", about: "not there; as often as needed" },
    down: { type: "boolean", about: "the highest place instead of the lowest" },
  },
  details: ["The exit status is 1 when there is no such place."],
  async run({ args, options, out, daemon }) {
    const [size, ...devices] = atLeastOne(args, "the size");
    const { alignment, avoid } = options;
    const params = {
      size: formatAddress(parseBytes(size, "find")),
      ...(alignment === undefined ? {} : { alignment: formatAddress(parseBytes(alignment, "--alignment")) }),
      ...bound("not-below", options["not-below"]),
      ...bound("not-above", options["not-above"]),
      ...(avoid === undefined ? {} : { avoid: avoid.map(parseRange) }),
      ...(options.down ? { direction: "down" as const } : {}),
      ...someSource(devices, options),
    };
    const client = await daemon.connect();
    const answer = await client.call("find-free-range", params);
    await client.close();
    const { range } = answer;
    out.answer(answer, () => [
      range
        ? `${out.paint("fits", rangeText(range))}  ${sizeOf(range)}`
        : out.paint("blocks", "There is no such place."),
      ...worthLines(answer, out),
    ]);
    return range ? EXIT.yes : EXIT.no;
  },
});

function bound(name: "not-below" | "not-above", text: string | undefined) {
  return text === undefined ? {} : { [name]: formatAddress(parseBound(`--${name}`, text)) };
}
