import { defineCommand } from "../command.ts";
export const metrics = defineCommand({
  options: {},
  async run() {
    return 0;
  },
});
