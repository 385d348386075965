import { UsageError } from "../../command-line.ts";
import { checkAnswer, findAnswer, predictAnswer } from "../../fleet/answers.ts";
import { guestOf } from "../../fleet/guest.ts";
import { laneOfAllowed, notesOf } from "../../picture/answers.ts";
import { drawText } from "../../picture/text.ts";
import { checkPool, findInPool, type Guest, predictPool } from "../../plan/fleet/check.ts";
import { KIND_ROLES } from "../commands/map.ts";
import { EXIT } from "../exit-status.ts";
import { GUEST_OPTIONS, guestParams, NO_GUEST } from "../guest.ts";
import { conflictLines, remedyLines } from "../layout-lines.ts";
import { exactlyOne, noMore } from "../need.ts";
import { parseBound, parseBytes, parseRange, rangeText, sizeOf, toRange } from "../ranges.ts";
import { WINDOW_COLUMNS } from "../window-columns.ts";
import { askKnown } from "./options.ts";
import { type Answering, FIND_OPTIONS, type Question } from "./questions.ts";
import { everywhere, fleetWorth } from "./worth.ts";

/** Whether a guest's memory map is valid on all of the hosts. */
export const check: Answering = {
  options: GUEST_OPTIONS,
  columns: WINDOW_COLUMNS,
  async answer(question) {
    noMore(question.args);
    const { out, errors, options } = question;
    const guest = guestFrom(question);
    const { pool } = await askKnown({ options, errors });
    const answer = checkAnswer(checkPool(pool, guest));
    out.answer(answer, () => [
      ...out.table(WINDOW_COLUMNS, answer.windows),
      ...conflictLines(answer.windows, out),
      `${answer.fits ? out.paint("fits", "It fits") : out.paint("blocks", "It does not fit")} ${everywhere(pool)}.`,
      ...fleetWorth(answer, out),
      ...remedyLines(answer.remedies, out),
    ]);
    return answer.fits ? EXIT.yes : EXIT.no;
  },
};

/** What the command line says of the guest. @throws UsageError when it says nothing */
function guestFrom({ options }: Pick<Question, "options">): Guest {
  const guest = guestOf(guestParams(options));
  if (guest.windows.length === 0) {
    throw new UsageError(NO_GUEST);
  }
  return guest;
}

/** What all of the hosts allow. */
export const predict: Answering = {
  options: {},
  async answer({ args, out, errors, options }) {
    noMore(args);
    const { pool } = await askKnown({ options, errors });
    const answer = predictAnswer(predictPool(pool));
    const title = pool.size === 1 ? "1 host" : `${pool.size} hosts`;
    out.answer(answer, () => [
      ...drawText(
        { lanes: [laneOfAllowed(title, answer)], notes: notesOf(answer) },
        { width: out.pageWidth, paint: (kind, text) => out.paint(KIND_ROLES[kind], text) },
      ),
      ...fleetWorth(answer, out),
    ]);
    return EXIT.yes;
  },
};

/** A place of a size that is free on all of the hosts. */
export const find: Answering = {
  options: FIND_OPTIONS,
  async answer({ args, out, errors, options }) {
    const size = parseBytes(exactlyOne(args, "the size"), "find");
    const { alignment, avoid = [], down } = options;
    const request = {
      size,
      alignment: alignment === undefined ? undefined : powerOfTwo(alignment),
      notBelow:
        options["not-below"] === undefined ? undefined : parseBound("--not-below", options["not-below"]),
      notAbove:
        options["not-above"] === undefined ? undefined : parseBound("--not-above", options["not-above"]),
      direction: down ? ("down" as const) : ("up" as const),
    };
    const { pool } = await askKnown({ options, errors });
    const avoided = avoid.map((text) => toRange(parseRange(text)));
    const answer = findAnswer(findInPool(pool, request, avoided));
    const { range } = answer;
    out.answer(answer, () => [
      range
        ? `${out.paint("fits", rangeText(range))}  ${sizeOf(range)} ${everywhere(pool)}`
        : out.paint("blocks", `There is no such place ${everywhere(pool)}.`),
      ...fleetWorth(answer, out),
    ]);
    return range ? EXIT.yes : EXIT.no;
  },
};

function powerOfTwo(text: string): bigint {
  const bytes = parseBytes(text, "--alignment");
  if ((bytes & (bytes - 1n)) === 0n) return bytes;
  throw new UsageError(`--alignment takes a power of two, not "${text}"`);
}
