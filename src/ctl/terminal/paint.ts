import { styleText } from "node:util";

/** What a colour says; the words say it as well. */
export type Role = "fits" | "warns" | "blocks" | "heading" | "quiet";

/** Gives a text the colour of its role, or leaves it as it is. */
export type Paint = (role: Role | undefined, text: string) => string;

const STYLES = {
  fits: "green",
  warns: "yellow",
  blocks: "red",
  heading: "bold",
  quiet: "gray",
} as const satisfies Record<Role, Parameters<typeof styleText>[0]>;

/** What a colour begins and ends with. */
export const COLOUR = new RegExp(
  Object.values(STYLES)
    .flatMap((style) => styleText(style, " ", { validateStream: false }).split(" "))
    .map((code) => code.replace("[", "\\["))
    .join("|"),
);

export const plain: Paint = (_role, text) => text;

/** For terminals. */
export const coloured: Paint = (role, text) =>
  role === undefined || text === "" ? text : styleText(STYLES[role], text, { validateStream: false });

/** `--color`; `auto` is a terminal that nobody has asked to be spared (no-color.org). */
export function choosePaint(when: string, isTerminal: boolean, { NO_COLOR, TERM }: NodeJS.ProcessEnv): Paint {
  if (when === "always") return coloured;
  return when === "auto" && isTerminal && !NO_COLOR && TERM !== "dumb" ? coloured : plain;
}
