import { z } from "zod";
import { LIMITS } from "../../limits.ts";
import { address, deviceName, rangeList } from "../types.ts";

/** The version of the form in which a host describes itself. */
export const PROFILE_VERSION = 1 as const;

/** A host's name, as it stands in causes. */
export const hostName = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/, { error: "expected a name of 1 to 255 printable characters without blanks" })
  .meta({ id: "HostName", description: "A name to tell hosts apart, as in causes", examples: ["node-17"] });

/** An alignment as clients may write it. */
export const alignment = address.refine((value) => value > 0n && (value & (value - 1n)) === 0n, {
  error: "expected a power of two",
});

/** Another host, as clients may describe it: a whole profile of query-host-profile, or just its name and list. */
export const hostProfile = z
  .strictObject({
    host: hostName,
    allowed: rangeList,
    "iova-alignment": alignment.nullable().optional(),
    exact: z
      .boolean()
      .optional()
      .meta({ description: "Whether the host vouches for the list; taken for false when left out" }),
    hint: z.string().max(4096).optional(),
    "schema-version": z.literal(PROFILE_VERSION).optional(),
    kernel: z.strictObject({ release: z.string() }).optional(),
    devices: z
      .array(deviceName)
      .max(LIMITS["max-devices"].max, { error: `at most ${LIMITS["max-devices"].max} devices` })
      .optional(),
    excluded: z
      .array(z.unknown())
      .max(LIMITS["max-causes"].max, { error: `at most ${LIMITS["max-causes"].max} ranges` })
      .optional()
      .meta({ description: "For people; not looked at" }),
  })
  .meta({ id: "HostProfileInput", description: "What another host allows" });
