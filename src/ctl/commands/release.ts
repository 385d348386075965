import { defineCommand } from "../command.ts";
import { forEachDevice } from "../for-each-device.ts";
import { atLeastOne } from "../need.ts";

export const release = defineCommand({
  options: {},
  async run({ args, out, daemon }) {
    const all = atLeastOne(args, "the device").map((device) => ({ device }));
    await forEachDevice(
      await daemon.connect(),
      out,
      "release-device",
      all,
      ({ device }) => `${device} is free`,
    );
    return 0;
  },
});
