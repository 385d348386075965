import type { Client, Result } from "../client/index.ts";
import { laneOfAllowed, laneOfWindows, notesOf } from "../picture/answers.ts";
import { mergeAlike, type Picture } from "../picture/picture.ts";
import { isIoasName, parseIoasName } from "./ioas-name.ts";

export type Predicted = Result<"predict-allowed-ranges">;

/** What a picture is made of. */
export interface MapAnswers {
  /** Everything that was named together. */
  readonly together: Predicted;
  /** Each by itself, when there are several. */
  readonly each: readonly { readonly title: string; readonly answer: Predicted }[];
  readonly guest?: Result<"check-layout"> | undefined;
}

/** `[CONTEXT/]IOAS`, or devices. */
export async function askForMap(client: Client, args: readonly string[], guest: object): Promise<MapAnswers> {
  const [only = ""] = args;
  const isIoas = args.length === 1 && isIoasName(only);
  const sources = isIoas ? parseIoasName(only) : { devices: args };
  const wantsGuest = Object.keys(guest).length > 0;
  const several = isIoas ? [] : args.length > 1 ? args : [];
  const [together, checked, ...answers] = await Promise.all([
    client.call("predict-allowed-ranges", sources),
    wantsGuest ? client.call("check-layout", { ...guest, ...sources }) : undefined,
    ...several.map((device) => client.call("predict-allowed-ranges", { devices: [device] })),
  ]);
  const each = several.map((title, at) => ({ title, answer: answers[at] as Predicted }));
  return { together, each, guest: checked };
}

/** Who takes what, side by side; what is left for all; and where a guest would lie. */
export function pictureOf({ together, each, guest }: MapAnswers, title: string): Picture {
  const alone = each.map(({ title, answer }) => laneOfAllowed(title, answer));
  const lanes = [
    ...mergeAlike(alone),
    laneOfAllowed(each.length === 0 ? title : "together", together),
    ...(guest ? [laneOfWindows("guest", guest.windows)] : []),
  ];
  return { lanes, notes: notesOf(together) };
}
