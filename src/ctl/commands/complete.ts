import { defineCommand } from "../command.ts";
export const complete = defineCommand({
  options: {},
  async run() {
    return 0;
  },
});
