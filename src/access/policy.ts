/** What a peer may do. `observe` changes nothing on any device; `control` may do everything. */
export type Role = "observe" | "control";

/** The process at the other end of a connection, by the kernel's word: SO_PEERCRED and SO_PEERGROUPS. */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[] | Uint32Array;
}

/** Who has which role beside the built-in rules, by uid and gid. */
export interface AccessRules {
  readonly controlUsers: readonly number[];
  readonly controlGroups: readonly number[];
  readonly observeUsers: readonly number[];
  readonly observeGroups: readonly number[];
}

/** What the built-in rules need to know of this daemon. */
export interface Surroundings {
  readonly uid: number;
  /** The group that the socket's file has at this moment. */
  socketGroup(): number | undefined;
}

/** The role of a peer; null: it has no business here. */
export type Policy = (peer: Peer) => Role | null;

/**
 * root and the daemon's own user control, whatever the rules say: they could replace the daemon. Where no rule says
 * who observes, members of the socket's group do.
 */
export function accessPolicy(rules: AccessRules, { uid, socketGroup }: Surroundings): Policy {
  const controlUsers = new Set([0, uid, ...rules.controlUsers]);
  const controlGroups = new Set(rules.controlGroups);
  const observeUsers = new Set(rules.observeUsers);
  const observeGroups = new Set(rules.observeGroups);
  const byDefault = observeUsers.size === 0 && observeGroups.size === 0;
  return (peer) => {
    if (controlUsers.has(peer.uid) || isIn(controlGroups, peer)) return "control";
    if (observeUsers.has(peer.uid) || isIn(observeGroups, peer)) return "observe";
    if (!byDefault) return null;
    // A system call: of the 65,536 groups that a peer may have, it is made for none.
    const own = socketGroup();
    return own !== undefined && isIn(new Set([own]), peer) ? "observe" : null;
  };
}

function isIn(gids: ReadonlySet<number>, { gid, groups }: Peer): boolean {
  return gids.size > 0 && (gids.has(gid) || groups.some((each) => gids.has(each)));
}

/** Whether a peer of this role may call what takes `needed`. */
export function suffices(role: Role, needed: Role): boolean {
  return role === "control" || needed === "observe";
}

/** Whether a peer may change or end what `owner` has made; null: it is nobody's own. */
export function mayChange(uid: number, owner: number | null): boolean {
  return uid === 0 || owner === null || owner === uid;
}

/** Rules that name anybody: then the socket is open to all, and the rules decide. */
export function hasRules(rules: AccessRules): boolean {
  return Object.values(rules).some((ids) => ids.length > 0);
}
