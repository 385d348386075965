import { defineCommand } from "../command.ts";
import { wordsFor } from "../completion-words.ts";

/** Shells put words into the command line as they are: what the daemon calls its devices must mean nothing to them. */
const HARMLESS = /^[-\w.:,/=+@%]*$/;

export const complete = defineCommand({
  options: { line: { type: "boolean", about: "the words are one command line, up to the cursor" } },
  details: [
    "What the shells' completion asks, the word under the cursor last. It prints nothing when it knows nothing.",
  ],
  async run({ args, options, out, commands }) {
    const words = options.line ? (args[0] ?? "").split(/\s+/).slice(1) : args;
    out.print(...(await wordsFor(words, commands)).filter((word) => HARMLESS.test(word)));
    return 0;
  },
});
