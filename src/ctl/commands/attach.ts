import type { Client } from "../../client/index.ts";
import { defineCommand } from "../command.ts";
import { forEachDevice, unlessDry } from "../for-each-device.ts";
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
    const { context, ioas } = parseIoasName(args.at(-1) as string);
    const client = await daemon.connect();
    if (context !== undefined) await expectIn(context, devices, client);
    const all = devices.map((device) => ({ device, ioas }));
    await forEachDevice(
      client,
      out,
      "attach-device",
      all,
      (answer) =>
        `${answer.device} is attached to ${answer.context}/${answer.ioas}: ${answer.ranges.map(rangeText).join(" ")}`,
    );
    return 0;
  },
});

/**
 * The daemon takes the number for one of the device's own context, where another IO address space may have it. Rejects
 * with Error when a device is held in another; of one that is not held the daemon says so itself.
 */
async function expectIn(context: string, devices: readonly string[], client: Client): Promise<void> {
  const answers = await Promise.all(
    devices.map((device) => client.call("query-devices", { device }).catch(unlessDry)),
  );
  for (const { device, context: own } of answers.flatMap((answer) => answer?.devices ?? [])) {
    if (own !== null && own !== context) {
      throw new Error(`${device} is in the context "${own}", and not in "${context}": nothing is attached`);
    }
  }
}
