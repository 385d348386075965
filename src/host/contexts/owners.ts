import type { LimitName, Limits } from "../../limits.ts";
import { limitExceeded } from "../errors.ts";

/** Who made an object: the uid of the client. Null: nobody in particular, and it counts towards no limit. */
export type Owner = number | null;

/** @throws HostError LimitExceeded when the owner has as many of `things` already as `limit` allows */
export function refuseBeyond(
  limits: Limits,
  limit: LimitName,
  things: string,
  owned: Iterable<Owner>,
  owner: Owner,
): void {
  if (owner === null) return;
  let count = 0;
  for (const each of owned) if (each === owner) count++;
  if (count < limits[limit]) return;
  throw limitExceeded(
    limit,
    `uid ${owner} has ${count} ${things}, and no more are allowed; give one back first`,
  );
}
