import { defineCommand } from "../command.ts";
import { forEachDevice } from "../for-each-device.ts";
import { parseIoasName } from "../ioas-name.ts";
import { atLeastOne } from "../need.ts";
import { rangeText } from "../ranges.ts";

export const attach = defineCommand({
  options: {},
  details: [
    "The devices are held already: the IO address space is one of their context.",
    "iovactl call create-ioas makes one, and tells its number; iovactl contexts lists those there are.",
  ],
  async run({ args, out, daemon }) {
    const devices = atLeastOne(args.slice(0, -1), "a device and its IO address space");
    // The context is the device's.
    const { ioas } = parseIoasName(args.at(-1) as string);
    const all = devices.map((device) => ({ device, ioas }));
    await forEachDevice(
      await daemon.connect(),
      out,
      "attach-device",
      all,
      (answer) =>
        `${answer.device} is attached to ${answer.context}/${answer.ioas}: ${answer.ranges.map(rangeText).join(" ")}`,
    );
    return 0;
  },
});
