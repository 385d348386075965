import { UsageError } from "../../command-line.ts";
import { defineCommand } from "../command.ts";
import { readText } from "../guest.ts";
import { atLeastOne, noMore } from "../need.ts";

export const call = defineCommand({
  options: {},
  details: [
    "The params are a JSON object; - reads them from standard input. The answer is the daemon's JSON; a refusal is said in words, as of any command.",
  ],
  async run({ args, out, daemon }) {
    const [method, params, ...more] = atLeastOne(args, "the method");
    noMore(more);
    const given =
      params === undefined ? undefined : parseParams(params === "-" ? readText("call", "-") : params);
    const client = await daemon.connect();
    const answer = await client.request(method, given);
    await client.close();
    out.printJson(answer);
    return 0;
  },
});

function parseParams(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch {}
  throw new UsageError(`the params are no JSON object: write them as in '{"device":"0000:01:00.0"}'`);
}
