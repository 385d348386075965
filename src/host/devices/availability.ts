import { type Blocker, firstOthers } from "../platform/blockers.ts";
import type { SeenDevice } from "../platform/census.ts";
import type { Holding } from "./device-record.ts";

/** What passes by itself: somebody has the device, or one of its group. `taken`: those of the group that anybody has. */
export function transientBlockers(
  { device, group, isInUse }: SeenDevice,
  { state, context, owner }: Holding,
  taken: readonly SeenDevice[],
): Blocker[] {
  const blockers: Blocker[] = [];
  const block = (reason: Blocker["reason"], detail: string, more: Partial<Blocker> = {}) =>
    blockers.push({ device, reason, detail, transient: true, ...more });
  const whose = owner === null ? "" : ` by uid ${owner}`;
  if (state === "held" || state === "attached") {
    block("held", `held${whose} in context "${context}"; release it there first (release-device)`);
  } else if (state === "handed-over") {
    block("handed-over", `handed over${whose}; it is free again when the process that has it ends`);
  } else if (isInUse) {
    block("in-use", "a process outside this daemon has it bound (query-devices with users tells which)");
  }
  const siblings = firstOthers(taken, device).map((each) => each.device);
  if (siblings.length > 0) {
    const detail = `${siblings.join(", ")} of the same group ${group} is in use, and a group has one context: hold this device in that one too, or wait until it is free`;
    block("sibling-held", detail, { devices: siblings });
  }
  return blockers;
}
