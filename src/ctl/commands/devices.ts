import { UsageError } from "../../command-line.ts";
import { defineCommand } from "../command.ts";
import { DEVICE_COLUMNS, type Device } from "../device-columns.ts";
import { deviceTree } from "../device-tree.ts";

export const devices = defineCommand({
  options: {
    tree: { type: "boolean", about: "as a tree: IOMMU, group, device, context" },
    users: { type: "boolean", about: "with the processes that have each device open; takes a moment" },
    driver: { type: "string", value: "NAME", about: "only those on this driver" },
    group: { type: "string", value: "N", about: "only those of this IOMMU group" },
    state: { type: "string", value: "observed|held|attached|handed-over", about: "only those in this state" },
    context: { type: "string", value: "CONTEXT", about: "only those in this context" },
    available: { type: "boolean", about: "only those that a guest can have now" },
    assignable: { type: "boolean", about: "only those that a guest can have when nobody else has them" },
  },
  details: [
    "In the column usable, busy means that a guest can have the device as soon as somebody gives it back; doctor DEVICE tells more of a device.",
  ],
  columns: (_args, { tree }) => (tree ? undefined : DEVICE_COLUMNS),
  async run({ args, options, out, daemon }) {
    const { driver, state, context } = options;
    const filter = {
      ...(driver === undefined ? {} : { driver }),
      ...(options.group === undefined ? {} : { group: groupNumber(options.group) }),
      // Which words there are, the daemon knows.
      ...(state === undefined ? {} : { state: state as Device["state"] }),
      ...(context === undefined ? {} : { context }),
      ...(options.available ? { available: true } : {}),
      ...(options.assignable ? { assignable: true } : {}),
      ...(options.users || out.asksFor("users") ? { users: true } : {}),
    };
    const client = await daemon.connect();
    const asked = args.length === 0 ? [filter] : args.map((device) => ({ ...filter, device }));
    const answers = await Promise.all(asked.map((params) => client.call("query-devices", params)));
    await client.close();
    const answer = { devices: answers.flatMap(({ devices }) => devices) };
    out.answer(answer, ({ devices }) =>
      options.tree ? deviceTree(devices, out.paint) : out.table(DEVICE_COLUMNS, devices),
    );
    return 0;
  },
});

function groupNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(`--group takes a number, not "${text}"`);
}
