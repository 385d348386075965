import { defineCommand } from "../command.ts";
export const report = defineCommand({
  options: {},
  async run() {
    return 0;
  },
});
