import { type Client, DaemonError, type Result } from "../../client/index.ts";
import { laneOfAllowed, notesOf } from "../../picture/answers.ts";
import type { Picture } from "../../picture/picture.ts";

type Device = Result<"query-devices">["devices"][number];

/** What a page tells of the host. */
export interface Gathered {
  readonly version: string;
  readonly status: Result<"query-status">;
  readonly devices: readonly Device[];
  /** One for all the devices that are alike in what they can use. */
  readonly maps: readonly { readonly devices: readonly string[]; readonly picture: Picture }[];
  /** How many more there would be. */
  readonly mapsLeftOut: number;
  readonly events: Result<"query-events">["events"];
}

/** How many events, the latest of them. */
const EVENTS = 100;
/** How many maps: a page is to be read. */
const MAPS = 24;
/** Devices that one profile is asked for. */
const PORTION = 256;

export async function gather(client: Client): Promise<Gathered> {
  const [status, { devices }, { events }] = await Promise.all([
    client.call("query-status"),
    client.call("query-devices"),
    client.call("query-events", { limit: EVENTS }),
  ]);
  const alike = await classes(client, devices);
  const maps = await Promise.all(
    alike.slice(0, MAPS).map(async (names) => {
      const answer = await client.call("predict-allowed-ranges", { devices: [names[0] as string] });
      return {
        devices: names,
        picture: { lanes: [laneOfAllowed("usable", answer)], notes: notesOf(answer) },
      };
    }),
  );
  return {
    version: client.greeting.version,
    status,
    devices,
    maps,
    mapsLeftOut: alike.length - maps.length,
    events,
  };
}

/** Devices that can use the same, together. */
async function classes(client: Client, devices: readonly Device[]): Promise<string[][]> {
  const alike = new Map<string, string[]>();
  for (let at = 0; at < devices.length; at += PORTION) {
    const names = devices.slice(at, at + PORTION).map(({ device }) => device);
    const profile = await client.call("query-host-profile", { devices: names }).catch(unlessGone);
    for (const { device, allowed } of profile?.devices ?? []) {
      const key = JSON.stringify(profile?.lists[allowed]);
      alike.set(key, [...(alike.get(key) ?? []), device]);
    }
  }
  return [...alike.values()];
}

/** One of the devices has gone meanwhile: the page does without the maps of its portion. */
function unlessGone(error: unknown): undefined {
  if (error instanceof DaemonError && error.class === "DeviceNotFound") return undefined;
  throw error;
}
