import { defineCommand } from "../command.ts";
import { forEachDevice } from "../for-each-device.ts";
import { atLeastOne } from "../need.ts";

export const detach = defineCommand({
  options: {},
  async run({ args, out, daemon }) {
    const all = atLeastOne(args, "the device").map((device) => ({ device }));
    await forEachDevice(await daemon.connect(), out, "detach-device", all, ({ device, context, ioas }) =>
      ioas === null ? `${device} was attached to nothing` : `${device} is detached from ${context}/${ioas}`,
    );
    return 0;
  },
});
