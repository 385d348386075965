import { defineCommand } from "../command.ts";
import { wordsFor } from "../completion-words.ts";

export const complete = defineCommand({
  options: { line: { type: "boolean", about: "the words are one command line, up to the cursor" } },
  details: [
    "What the shells' completion asks, the word under the cursor last. It prints nothing when it knows nothing.",
  ],
  async run({ args, options, out, commands }) {
    const words = options.line ? (args[0] ?? "").split(/\s+/).slice(1) : args;
    out.print(...(await wordsFor(words, commands)));
    return 0;
  },
});
