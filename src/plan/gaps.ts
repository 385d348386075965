import { ascendingTexts } from "../ranges/order.ts";
import { STEP, type Steps } from "../ranges/steps.ts";

/** Something that the kernel has not told: of a device here, or of another host. */
export type Gap =
  | {
      readonly device: string;
      /**
       * "ready": a probe would tell; "unbound": no VFIO driver is bound; "hindered": something else is to be mended before;
       * "blocked": no guest can have it.
       */
      readonly state: "ready" | "unbound" | "hindered" | "blocked";
    }
  | { readonly host: string; readonly hint?: string | undefined }
  /** An IOAS that has nothing in it, where no device is named that is to go there. */
  | { readonly emptyIoas: number };

/** How many names a hint lists, and how much it repeats of another host's. */
const NAME_LIMIT = 4;
const ECHO_LIMIT = 200;

/** What it takes to close the gaps. */
export interface Advice {
  /** What the reader can do to make an answer exact; undefined when it is. */
  readonly hint: string | undefined;
  /** The names of the devices that a probe would tell more of, sorted. */
  readonly unprobed: readonly string[];
}

/** In steps, for there is a gap for each of many devices. */
export function* adviceOn(gaps: readonly Gap[]): Steps<Advice> {
  const devices = {
    ready: new Set<string>(),
    unbound: new Set<string>(),
    hindered: new Set<string>(),
    blocked: new Set<string>(),
  };
  const others: Exclude<Gap, { device: string }>[] = [];
  for (let i = 0; i < gaps.length; i++) {
    if (i % STEP === 0) yield;
    const gap = gaps[i] as Gap;
    if ("device" in gap) devices[gap.state].add(gap.device);
    else others.push(gap);
  }
  const ready = yield* ascendingTexts([...devices.ready]);
  const unbound = yield* ascendingTexts([...devices.unbound]);
  const hindered = yield* ascendingTexts([...devices.hindered]);
  const blocked = yield* ascendingTexts([...devices.blocked]);
  const hosts = others.flatMap((gap) => ("host" in gap ? [gap] : []));
  const advice: string[] = [];
  if (ready.length > 0) {
    advice.push(
      `probe ${listed(ready)} to learn ${one(ready, "its aperture", "their apertures")} (probe-device)`,
    );
  }
  if (unbound.length > 0) {
    const them = one(unbound, "it to learn its aperture", "them to learn their apertures");
    advice.push(`bind ${listed(unbound)} to vfio-pci and probe ${them}`);
  }
  if (hindered.length > 0) {
    advice.push(`mend what keeps ${listed(hindered)} from guests (query-devices tells what)`);
  }
  if (blocked.length > 0) {
    advice.push(`leave out ${listed(blocked)}, which no guest can have (query-devices tells why)`);
  }
  for (const gap of others) if ("emptyIoas" in gap) advice.push(devicesFor(gap.emptyIoas));
  advice.push(...hosts.slice(0, NAME_LIMIT).map(hostAdvice));
  if (hosts.length > NAME_LIMIT) advice.push(`and so on for ${hosts.length - NAME_LIMIT} more hosts`);
  return { hint: advice.length > 0 ? advice.join("; ") : undefined, unprobed: ready };
}

function hostAdvice({ host, hint }: { host: string; hint?: string | undefined }): string {
  if (hint === undefined)
    return `take the list of host ${host} from its query-host-profile, with a word on exactness`;
  return `on host ${host}: ${hint.length > ECHO_LIMIT ? `${hint.slice(0, ECHO_LIMIT)}…` : hint}`;
}

function devicesFor(ioas: number): string {
  return `name the devices that are to go into IOAS ${ioas}: nothing is attached to it, so what it allows is no promise`;
}

/** Some of them by name, and how many more there are. */
export function listed(devices: readonly string[]): string {
  const all = devices.length <= NAME_LIMIT + 1;
  const before = all ? devices.slice(0, -1) : devices.slice(0, NAME_LIMIT);
  const last = all ? `${devices.at(-1)}` : `${devices.length - NAME_LIMIT} more`;
  return before.length > 0 ? `${before.join(", ")} and ${last}` : last;
}

function one(devices: readonly string[], singular: string, plural: string): string {
  return devices.length === 1 ? singular : plural;
}
