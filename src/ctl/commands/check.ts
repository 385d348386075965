import type { Result } from "../../client/index.ts";
import { defineCommand } from "../command.ts";
import { EXIT } from "../exit-status.ts";
import {
  ASSUMED_MACHINE,
  GUEST_OPTIONS,
  IOAS_OPTION,
  isMachineAssumed,
  someGuest,
  someSource,
} from "../guest.ts";
import { conflictLines, remedyLines } from "../layout-lines.ts";
import { MACHINE_DETAILS } from "../machine.ts";
import type { Output } from "../terminal/output.ts";
import { WINDOW_COLUMNS } from "../window-columns.ts";
import { worthLines } from "../worth.ts";

type Checked = Result<"check-layout">;

export const check = defineCommand({
  options: {
    ...GUEST_OPTIONS,
    ...IOAS_OPTION,
    enforce: { type: "boolean", about: "when it fits, have the kernel keep it so in the --ioas" },
  },
  details: [
    `The exit status is 0 when it fits and 1 when it does not. A window that is not required (PCI holes) may miss: the guest runs, and devices cannot reach each other there. With -m and no --machine it is a ${ASSUMED_MACHINE}.`,
    MACHINE_DETAILS,
  ],
  columns: () => WINDOW_COLUMNS,
  async run({ args, options, out, daemon }) {
    const params = {
      ...someGuest(options),
      ...someSource(args, options),
      ...(options.enforce ? { enforce: true } : {}),
    };
    const client = await daemon.connect();
    const answer = await client.call("check-layout", params);
    await client.close();
    out.answer(answer, () => [
      ...checkLines(answer, out),
      ...(isMachineAssumed(options) ? [ASSUMPTION] : []),
    ]);
    return answer.fits ? EXIT.yes : EXIT.no;
  },
});

const ASSUMPTION = `The machine is a ${ASSUMED_MACHINE}, as --machine did not say otherwise.`;

/** A layout's windows, what forbids those that do not fit, the verdict, and what can be done. */
function checkLines(answer: Checked, out: Output): string[] {
  const verdict = answer.fits ? out.paint("fits", "It fits.") : out.paint("blocks", "It does not fit.");
  return [
    ...out.table(WINDOW_COLUMNS, answer.windows),
    ...conflictLines(answer.windows, out),
    verdict + (answer.enforced ? " The kernel keeps it so." : ""),
    ...worthLines(answer, out),
    ...remedyLines(answer.remedies, out),
  ];
}
