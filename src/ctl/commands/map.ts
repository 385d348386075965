import type { Kind } from "../../picture/picture.ts";
import { drawSvg } from "../../picture/svg.ts";
import { drawText } from "../../picture/text.ts";
import { defineCommand } from "../command.ts";
import { GUEST_OPTIONS, guestParams } from "../guest.ts";
import { askForMap, pictureOf } from "../maps.ts";
import { atLeastOne } from "../need.ts";
import type { Role } from "../terminal/paint.ts";
import { worthLines } from "../worth.ts";
import { writeFile } from "../write-file.ts";

/** What each kind of part means for whoever wants to use it. */
export const KIND_ROLES: Readonly<Record<Kind, Role>> = {
  usable: "fits",
  excluded: "warns",
  window: "quiet",
  conflict: "blocks",
};

export const map = defineCommand({
  options: {
    ...GUEST_OPTIONS,
    svg: {
      type: "string",
      value: "FILE",
      about: "draw it as SVG, for documents and tickets; - is standard output",
    },
  },
  details: [
    "Several devices stand side by side, those that are alike as one, and beside them what is left for all. With a --machine, --mtree or --layout the guest's memory stands there, too.",
  ],
  async run({ args, options, out, daemon }) {
    const title = atLeastOne(args, "a device or an IO address space").join(" ");
    const client = await daemon.connect();
    const answers = await askForMap(client, args, guestParams(options));
    await client.close();
    const picture = pictureOf(answers, title);
    if (options.svg !== undefined) writeFile(options.svg, drawSvg(picture, title), out);
    else {
      out.answer(answers.together, () => [
        ...drawText(picture, {
          width: out.pageWidth,
          paint: (kind, text) => out.paint(KIND_ROLES[kind], text),
        }),
        ...worthLines(answers.together, out),
      ]);
    }
    return 0;
  },
});
