import { UsageError } from "../../command-line.ts";
import { Fleet } from "../../fleet/fleet.ts";
import { snapshot } from "../../fleet/follow.ts";
import { openStore, storeOptions } from "../../fleet/stores/open.ts";
import { type FleetStore, StoreError } from "../../fleet/stores/store.ts";
import type { Want } from "../../plan/fleet/fits.ts";
import { Pool, type PoolHost } from "../../plan/fleet/pool.ts";
import type { Values } from "../command.ts";
import { counted } from "../counted.ts";
import { Progress } from "../terminal/progress.ts";

/** Where a fleet is, when nobody says. */
const USUAL_PLACE = "/var/lib/iovad-fleet";

/** Which fleet, and which of its hosts. */
export const FLEET_OPTIONS = {
  from: {
    type: "string",
    value: "DIR",
    about: `the directory that the hosts publish into (default: ${USUAL_PLACE})`,
  },
  nats: { type: "string", value: "URL", about: "the NATS server that the hosts publish to, instead" },
  creds: { type: "string", value: "FILE", about: "a user's credentials for NATS" },
  "tls-ca": { type: "string", value: "FILE", about: "who vouches for the servers' certificates; means TLS" },
  "tls-cert": { type: "string", value: "FILE", about: "a certificate of our own" },
  "tls-key": { type: "string", value: "FILE", about: "its key" },
  hosts: {
    type: "string",
    multiple: true,
    value: "PATTERN",
    about: "only these hosts, with * and ? for what may stand there; as often as needed",
  },
} as const;

/** Which devices a guest is to get. */
export const WANT_OPTION = {
  want: {
    type: "string",
    multiple: true,
    value: "N:VENDOR:DEVICE",
    about: "fits: so many devices of a kind, as in 2:10de:20b5; * is any; as often as needed",
  },
} as const;

export type FleetValues = Values<typeof FLEET_OPTIONS>;

/** Milliseconds between two looks at how far it is. */
const GLANCE = 200;

/** Rejects with UsageError, StoreError. */
export function openFleet({ from, nats, ...others }: FleetValues): Promise<FleetStore> {
  if (from !== undefined && nats !== undefined) {
    throw new UsageError("--from and --nats both say where the fleet is: give one of them");
  }
  const directory = nats === undefined ? (from ?? USUAL_PLACE) : undefined;
  return openStore(storeOptions({ ...others, nats, directory }));
}

/** What a fleet is asked with; where it is shown how far it is. */
interface FleetQuestion {
  readonly options: FleetValues;
  readonly errors: NodeJS.WriteStream;
}

/** A fleet as it is now, and those of its hosts that are asked about. */
export interface Asked {
  readonly fleet: Fleet;
  readonly pool: Pool;
  readonly now: number;
}

/** The same of hosts of which something is known of one at least, for what would be a promise otherwise. */
export async function askKnown(question: FleetQuestion): Promise<Asked> {
  const asked = await askFleet(question);
  if (asked.pool.size > 0) return asked;
  const { host, trouble = "it cannot be read" } = asked.pool.hosts[0] as PoolHost;
  const { length } = asked.pool.hosts;
  throw new UsageError(
    `nothing is known of ${length === 1 ? "the host" : `any of the ${length} hosts`}: ${host}: ${trouble}`,
  );
}

/** Rejects with StoreError when there is no host, and with UsageError when the patterns match none: none is no promise. */
export async function askFleet({ options, errors }: FleetQuestion): Promise<Asked> {
  const store = await openFleet(options);
  const fleet = new Fleet();
  const progress = new Progress(errors);
  const show = () => progress.say(`${store.place}: ${counted(fleet.names.length, "host")} so far`);
  show();
  const glances = setInterval(show, GLANCE);
  try {
    await snapshot(store, Date.now, fleet);
    const now = Date.now();
    const hosts = fleet.hosts(now).filter(({ host }) => isChosen(host, options.hosts));
    if (fleet.names.length === 0) {
      throw new StoreError(`no host has published at ${store.place} (iovad-fleet does)`);
    }
    if (hosts.length === 0) throw new UsageError(noneOf(store, fleet, options.hosts));
    return { fleet, pool: new Pool(hosts), now };
  } finally {
    clearInterval(glances);
    progress.clear();
    await store.close();
  }
}

function noneOf({ place }: FleetStore, fleet: Fleet, patterns: readonly string[] | undefined): string {
  const { length } = fleet.names;
  return `--hosts ${(patterns ?? []).join(" ")}: none of the ${length} hosts at ${place} is called so`;
}

export function isChosen(host: string, patterns: readonly string[] | undefined): boolean {
  return patterns === undefined || patterns.some((pattern) => isCalled(host, pattern));
}

/** Not as a regular expression, to which a name may be made up that takes it years. */
function isCalled(host: string, pattern: string): boolean {
  /** The last star so far, and up to where in the name it has stood for something. */
  let star = -1;
  let until = 0;
  let at = 0;
  for (let i = 0; i < host.length; ) {
    if (pattern[at] === "*") {
      star = at++;
      until = i;
    } else if (pattern[at] === "?" || pattern[at] === host[i]) {
      at++;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++until;
    } else return false;
  }
  return /^\**$/.test(pattern.slice(at));
}

/** @throws UsageError */
export function parseWant(text: string): Want {
  const parts = text.split(":");
  const isOne = parts.length === 2 && /^(?:\*|(?:0x)?[0-9a-f]{4})$/i.test(parts[0] ?? "");
  const [count = "", vendor = "", device = ""] = isOne ? ["1", ...parts] : parts;
  if (parts.length !== (isOne ? 2 : 3) || !/^[1-9]\d{0,3}$/.test(count)) {
    throw new UsageError(`--want ${text}: write N:VENDOR:DEVICE, as in 2:10de:20b5`);
  }
  return { count: Number(count), vendor: idOf(vendor, text), device: idOf(device, text) };
}

function idOf(id: string, whole: string): string | undefined {
  if (id === "*") return undefined;
  const [, digits] = /^(?:0x)?([0-9a-f]{1,4})$/i.exec(id) ?? [];
  if (digits !== undefined) return `0x${digits.toLowerCase().padStart(4, "0")}`;
  throw new UsageError(`--want ${whole}: "${id}" is no PCI id: four hexadecimal digits, or *`);
}
