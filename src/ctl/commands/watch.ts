import type { EventName } from "../../client/index.ts";
import { complain } from "../../command-line.ts";
import { defineCommand } from "../command.ts";
import { EVENT_OPTION, eventLine, type WireEvent } from "../event-line.ts";
import { answersOf, noMore } from "../need.ts";
import { sequenceNumber } from "../sequence-number.ts";

export const watch = defineCommand({
  options: {
    since: { type: "string", value: "N", about: "begin behind this event, as far as it is remembered" },
    ...EVENT_OPTION,
  },
  details: [
    "Each line begins with the event's number, which --since takes: nothing is missed in between. A restart of the daemon is survived.",
  ],
  async run({ args, options, out, daemon, errors }) {
    noMore(args);
    const sequence = options.since === undefined ? undefined : sequenceNumber("--since", options.since);
    if (sequence !== undefined) answersOf(daemon, "watch --since");
    const client = await daemon.connectForGood();
    const since = sequence === undefined ? {} : { since: { instance: client.greeting.instance, sequence } };
    const names = options.event ? { names: options.event as EventName[] } : {};
    let isFirst = true;
    for await (const event of client.events({ ...names, ...since })) {
      if (event.method === "SNAPSHOT") {
        // Where it begins, unless it was to begin elsewhere.
        if (!isFirst || sequence !== undefined) {
          complain(
            "iovactl",
            `the daemon no longer knows what came before event ${event.params.sequence}: some may be missing`,
            errors,
          );
        }
      } else if (out.json === "off") out.print(eventLine(event as WireEvent, out.paint));
      else out.printJson(event);
      isFirst = false;
    }
    return 0;
  },
});
