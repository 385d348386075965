import { type Finding, failure, ok, warning } from "./finding.ts";

/** A region that firmware claims (RMRR, IVMD, IORT RMR), and the groups that list it. */
export interface Claim {
  readonly start: string;
  readonly last: string;
  readonly groups: readonly number[];
  /** Every device of those groups. */
  readonly devices: readonly string[];
}

/** How many devices are named. */
const NAMED = 6;

/** Which claims there are, of the whole host or as far as they concern the one device. */
export function checkFirmware(claims: readonly Claim[], device: string | undefined): Finding[] {
  const relevant = device === undefined ? claims : claims.filter(({ devices }) => devices.includes(device));
  if (relevant.length === 0) {
    return [
      ok("firmware", "1:1 claims", `firmware demands none${device === undefined ? "" : " of this device"}`),
    ];
  }
  return relevant.map((claim) => {
    const { start, last, devices, groups } = claim;
    const named = devices.slice(0, NAMED).join(", ");
    const more = devices.length > NAMED ? ` and ${devices.length - NAMED} more` : "";
    const extent = groups.length > 1 ? `, over ${groups.length} groups: as if for the whole board` : "";
    const evidence = `${start}-${last} is to be mapped 1:1 for ${named}${more}${extent}`;
    const remedy =
      "look for a setting of the firmware that drops it (RMRR, IVMD, IORT RMR); until then no guest can have these devices";
    return device === undefined
      ? warning("firmware", "1:1 claims", evidence, remedy)
      : failure("firmware", "1:1 claims", evidence, remedy);
  });
}
