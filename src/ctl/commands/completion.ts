import { defineCommand } from "../command.ts";
import { exactlyOne } from "../need.ts";
import { completionScript } from "../shell-completion.ts";

export const completion = defineCommand({
  options: {},
  details: [
    "For this session: source <(iovactl completion bash). The Debian package installs it for every user.",
  ],
  async run({ args, out }) {
    out.raw(completionScript(exactlyOne(args, "the shell")));
    return 0;
  },
});
