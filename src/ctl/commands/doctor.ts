import { defineCommand } from "../command.ts";
export const doctor = defineCommand({
  options: {},
  async run() {
    return 0;
  },
});
