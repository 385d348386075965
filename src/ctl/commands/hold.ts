import { defineCommand } from "../command.ts";
import { forEachDevice } from "../for-each-device.ts";
import { atLeastOne } from "../need.ts";

export const hold = defineCommand({
  options: {
    context: { type: "string", value: "CONTEXT", about: "the context to take them into (default: default)" },
  },
  details: [
    "Until it is released nobody else can use a held device, QEMU among them.",
    `A context other than default is made by iovactl call create-context '{"context":"NAME"}'.`,
  ],
  async run({ args, options: { context }, out, daemon }) {
    const all = atLeastOne(args, "the device").map((device) => ({ device, ...(context ? { context } : {}) }));
    await forEachDevice(
      await daemon.connect(),
      out,
      "hold-device",
      all,
      (answer) => `${answer.device} is held in ${answer.context}`,
    );
    return 0;
  },
});
