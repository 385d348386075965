import { defineCommand } from "../command.ts";
export const completion = defineCommand({
  options: {},
  async run() {
    return 0;
  },
});
