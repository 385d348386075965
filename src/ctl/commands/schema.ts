import { UsageError } from "../../command-line.ts";
import { suggestion } from "../../nearest.ts";
import { defineCommand } from "../command.ts";
import { exactlyOne } from "../need.ts";

export const schema = defineCommand({
  options: {},
  async run({ args, out, daemon }) {
    const name = exactlyOne(args, "the method");
    const client = await daemon.connect();
    const { methods, events } = await client.call("query-schema");
    await client.close();
    const all: Readonly<Record<string, object>> = { ...events, ...methods };
    if (!Object.hasOwn(all, name)) {
      const known = [...Object.keys(methods), ...Object.keys(events)];
      throw new UsageError(
        `there is no method or event "${name}"${suggestion(name, known)} (iovactl methods lists the methods)`,
      );
    }
    out.printJson(all[name]);
    return 0;
  },
});
