import { HostError } from "../errors.ts";

/** Who made an object: the uid of the client. Null: nobody in particular, and it counts towards no limit. */
export type Owner = number | null;

/** How many objects clients may make: each costs kernel memory, and most of them a descriptor. */
export interface HostLimits {
  /** In all; the default one counts. */
  readonly contexts: number;
  readonly contextsPerUid: number;
  readonly ioasesPerContext: number;
  readonly ioasesPerUid: number;
  readonly heldDevicesPerUid: number;
}

/** Room for a host full of guests, with one orchestrator as the owner of all. */
export const HOST_LIMITS: HostLimits = {
  contexts: 1024,
  contextsPerUid: 512,
  ioasesPerContext: 1024,
  ioasesPerUid: 4096,
  heldDevicesPerUid: 1024,
};

/** @throws HostError LimitExceeded when the owner has `limit` of `things` already; `name` is for data.limit */
export function refuseBeyond(
  limit: number,
  name: string,
  things: string,
  owned: Iterable<Owner>,
  owner: Owner,
) {
  if (owner === null) return;
  let count = 0;
  for (const each of owned) if (each === owner) count++;
  if (count < limit) return;
  throw new HostError(
    "LimitExceeded",
    `uid ${owner} has ${count} ${things}, and no more are allowed; give one back first`,
    { limit: name },
  );
}
