import { UsageError } from "../../command-line.ts";
import { suggestion } from "../../nearest.ts";
import { defineCommand } from "../command.ts";
import { FLEET_OPTIONS } from "../fleet/options.ts";
import { type Answering, QUESTION_OPTIONS } from "../fleet/questions.ts";
import { beThrifty } from "../fleet/thrifty.ts";

/** Every question about a fleet; each is loaded only when it is asked. */
const QUESTIONS: Readonly<Record<string, () => Promise<Answering>>> = {
  hosts: async () => (await import("../fleet/hosts.ts")).hosts,
  check: async () => (await import("../fleet/check.ts")).check,
  predict: async () => (await import("../fleet/check.ts")).predict,
  find: async () => (await import("../fleet/check.ts")).find,
  fits: async () => (await import("../fleet/fits.ts")).fits,
  outliers: async () => (await import("../fleet/outliers.ts")).outliers,
  watch: async () => (await import("../fleet/watch.ts")).watch,
};

export const fleet = defineCommand({
  options: QUESTION_OPTIONS,
  words: Object.keys(QUESTIONS),
  details: [
    "hosts: which there are, how old their word is, and which are alike. check: whether a guest's memory map is valid on all of them. predict: what all of them allow. find SIZE: a place that is free on all of them. fits: which hosts can take the guest, with the devices that it wants, and why the others cannot. outliers: which hosts cost the others which addresses. watch: tells when a host comes, goes, becomes stale or breaks the layout.",
    "The hosts tell by themselves, with iovad-fleet; no daemon is asked here. A host that has been silent for three of its intervals is stale: it still counts by its last word, nothing that rests on it is exact, and it is named where it changes the answer. For fits only a fresh host can take a guest, and every stale one is named.",
    "The exit status is 1 when it does not fit, there is no such place, or no host can take the guest.",
  ],
  columns: async ([name = ""]) => (await questionNamed(name)?.())?.columns,
  async run({ args: [name, ...args], options, out, errors, daemon }) {
    const known = Object.keys(QUESTIONS);
    if (name === undefined) throw new UsageError(`fleet what? ${known.join(", ")}; try --help`);
    const load = questionNamed(name);
    if (!load)
      throw new UsageError(
        `there is no "fleet ${name}"${suggestion(name, known)} (there are: ${known.join(", ")})`,
      );
    if (daemon.isDry) throw new UsageError("fleet sends the daemon nothing that --dry-run could print");
    const question = await load();
    const other = Object.keys(options).find((option) => isOfOthers(option, question));
    if (other !== undefined) throw new UsageError(`fleet ${name} takes no --${other}; try --help`);
    beThrifty();
    return question.answer({ args, options, out, errors });
  },
});

function questionNamed(name: string): (() => Promise<Answering>) | undefined {
  return Object.hasOwn(QUESTIONS, name) ? QUESTIONS[name] : undefined;
}

/** Whether only other questions take it: what every command takes is of no question. */
function isOfOthers(option: string, { options }: Answering): boolean {
  const isOfAQuestion = Object.hasOwn(QUESTION_OPTIONS, option) && !Object.hasOwn(FLEET_OPTIONS, option);
  return isOfAQuestion && !Object.hasOwn(options, option);
}
