import { complain } from "../../command-line.ts";
import { eventAnswer } from "../../fleet/answers.ts";
import { Fleet } from "../../fleet/fleet.ts";
import { type FleetChange, follow } from "../../fleet/follow.ts";
import { guestOf } from "../../fleet/guest.ts";
import { type FleetEvent, FleetWatch } from "../../plan/fleet/watch.ts";
import { type RangesChange, rangesChange } from "../event-line.ts";
import { EXIT } from "../exit-status.ts";
import { GUEST_OPTIONS, guestParams } from "../guest.ts";
import { conflictLines } from "../layout-lines.ts";
import { noMore } from "../need.ts";
import type { Output } from "../terminal/output.ts";
import { isChosen, openFleet } from "./options.ts";
import type { Answering } from "./questions.ts";

/** Milliseconds between two looks at who has become stale. */
const LOOK = 1000;

/** Tells when a host comes, goes, becomes stale or breaks the layout, until it is interrupted. */
export const watch: Answering = {
  options: GUEST_OPTIONS,
  async answer({ args, out, options }) {
    noMore(args);
    const { windows } = guestOf(guestParams(options));
    const store = await openFleet(options);
    const fleet = new Fleet();
    const watched = new FleetWatch(windows);
    const told = new Set<string>();
    const look = (host: string): FleetEvent[] => {
      if (!isChosen(host, options.hosts)) return [];
      const now = fleet.host(host, Date.now());
      if (!now) {
        told.delete(host);
        return watched.remove(host);
      }
      told.add(host);
      return watched.set(now);
    };
    const lookAtAll = () => [...new Set([...fleet.names, ...told])].flatMap(look);
    const tell = (events: readonly FleetEvent[]) => {
      for (const event of events) print(event, out);
    };
    const clock = setInterval(() => tell(lookAtAll()), LOOK);
    try {
      for await (const change of follow(store, fleet, Date.now, new AbortController().signal)) {
        tell(eventsOf(change, look, lookAtAll));
      }
    } finally {
      clearInterval(clock);
      await store.close();
    }
    return EXIT.yes;
  },
};

function eventsOf(
  change: FleetChange,
  look: (host: string) => FleetEvent[],
  lookAtAll: () => FleetEvent[],
): FleetEvent[] {
  if (change.kind === "settled") return lookAtAll();
  if (change.kind === "trouble") {
    complain("iovactl", change.message);
    return [];
  }
  return look(change.host);
}

function print(event: FleetEvent, out: Output): void {
  const now = Date.now();
  if (out.json !== "off") {
    out.printJson(eventAnswer(event, now));
    return;
  }
  const bad = event.event === "LAYOUT_BROKEN" || event.event === "HOST_UNREADABLE";
  const role = bad ? "blocks" : event.event === "HOST_STALE" ? "warns" : "fits";
  const { params } = eventAnswer(event, now) as { params: WireParams };
  const line = [
    new Date(now).toISOString(),
    out.paint(role, event.event),
    event.host,
    detailOf(params),
  ].filter((part) => part !== "");
  out.print(line.join("  "));
  out.print(...conflictLines(params.windows ?? [], out));
}

function detailOf({ detail = "", gained = [], lost = [], cause }: WireParams): string {
  if (cause) return `(${[cause.event, ...(cause.devices ?? [])].join(" ")})`;
  return detail || rangesChange({ gained, lost });
}

interface WireParams extends Partial<Pick<RangesChange, "gained" | "lost">> {
  readonly windows?: readonly WireWindow[];
  readonly detail?: string;
  readonly cause?: { readonly event: string; readonly devices?: readonly string[] };
}

interface WireWindow {
  readonly name: string;
  readonly misaligned: boolean;
  readonly conflicts: readonly { start: string; last: string; causes: { kind: string; host?: string }[] }[];
}
