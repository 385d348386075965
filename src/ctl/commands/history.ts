import type { EventName } from "../../client/index.ts";
import { UsageError } from "../../command-line.ts";
import { defineCommand } from "../command.ts";
import { EVENT_OPTION, eventLine } from "../event-line.ts";
import { noMore } from "../need.ts";
import { sequenceNumber } from "../sequence-number.ts";

export const history = defineCommand({
  options: {
    since: { type: "string", value: "N", about: "only what came behind this event" },
    ...EVENT_OPTION,
    device: { type: "string", value: "DEVICE", about: "only what names the device" },
    context: { type: "string", value: "CONTEXT", about: "only what names the context" },
    limit: { type: "string", short: "n", value: "N", about: "only the latest so many" },
  },
  async run({ args, options, out, daemon }) {
    noMore(args);
    const { since, event, device, context, limit } = options;
    const params = {
      ...(since === undefined ? {} : { since: sequenceNumber("--since", since) }),
      ...(event === undefined ? {} : { events: event as EventName[] }),
      ...(device === undefined ? {} : { device }),
      ...(context === undefined ? {} : { context }),
      ...(limit === undefined ? {} : { limit: count(limit) }),
    };
    const client = await daemon.connect();
    const answer = await client.call("query-events", params);
    await client.close();
    out.answer(answer, ({ events }) => events.map((each) => eventLine(each, out.paint)));
    return 0;
  },
});

function count(text: string): number {
  const number = sequenceNumber("--limit", text);
  if (number === 0) throw new UsageError("--limit takes a number from 1 on");
  return number;
}
