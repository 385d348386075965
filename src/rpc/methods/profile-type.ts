import * as z from "zod";
import { lazily } from "../../lazily.ts";
import { LIMITS } from "../../limits.ts";
import { PROFILE_VERSION } from "../../plan/fleet/profile.ts";
import { address, rangeList } from "../inputs.ts";

/** A host's name, as it stands in causes. */
export const hostName = lazily(() =>
  z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, {
      error: "expected a name of 1 to 255 printable characters without blanks",
    })
    .meta({ id: "HostName", description: "A name to tell hosts apart, as in causes", examples: ["node-17"] }),
);

export const isPowerOfTwo = (value: bigint) => value > 0n && (value & (value - 1n)) === 0n;
export const NO_POWER_OF_TWO = { error: "expected a power of two" };

/** An alignment as hosts write it. */
const alignment = lazily(() => address().refine(isPowerOfTwo, NO_POWER_OF_TWO));

const forPeople = (limit: "max-devices" | "max-causes", what: string) =>
  z
    .array(z.unknown())
    .max(LIMITS[limit].max, { error: `at most ${LIMITS[limit].max} ${what}` })
    .optional()
    .meta({ description: "Not looked at" });

/** What query-host-profile tells, as far as planning elsewhere goes by it, and what comes with it. */
const profileMembers = lazily(() => ({
  "iova-alignment": alignment().nullable().optional(),
  exact: z
    .boolean()
    .optional()
    .meta({ description: "Whether the host vouches for the list; taken for false when left out" }),
  hint: z.string().max(4096).optional(),
  "schema-version": z.literal(PROFILE_VERSION, { error: otherVersion }).optional(),
  instance: z.string().max(64).optional(),
  sequence: z.int().nonnegative().optional(),
  digest: z.string().max(64).optional(),
  kernel: z.strictObject({ release: z.string() }).optional(),
  devices: forPeople("max-devices", "devices"),
  lists: forPeople("max-devices", "lists"),
  excluded: forPeople("max-causes", "ranges"),
}));

function otherVersion({ input }: { input?: unknown }): string {
  const known = `this daemon knows profiles of version ${PROFILE_VERSION}`;
  return typeof input === "number" && input > PROFILE_VERSION
    ? `${known}, and this one is of version ${input}: update this daemon, or give the host's name and its list alone`
    : `${known}; leave the member out, or give the profile as query-host-profile told it`;
}

/** Another host, as clients may describe it: a whole profile of query-host-profile, or just its name and list. */
export const hostProfile = lazily(() =>
  z
    .strictObject({
      host: hostName(),
      allowed: rangeList().optional().meta({ description: "What the host allows; instead of a profile" }),
      profile: z
        .strictObject({ host: hostName().optional(), allowed: rangeList(), ...profileMembers() })
        .optional()
        .meta({ description: "What query-host-profile told there, whole; instead of all else but the name" }),
      ...profileMembers(),
    })
    .meta({
      id: "HostProfileInput",
      description:
        "What another host allows: a profile of query-host-profile as it is, or its name and list alone",
    }),
);
