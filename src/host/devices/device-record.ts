import type { Owner } from "../contexts/owners.ts";
import type { Blocker } from "../platform/blockers.ts";
import type { PlatformDevice } from "../platform/platform.ts";

/** Who has a device, as far as the daemon has given it away. */
export interface Holding {
  readonly state: "observed" | "held" | "attached" | "handed-over";
  readonly context: string | null;
  readonly ioas: number | null;
  /** The device's object id in its context. */
  readonly deviceId: number | null;
  readonly owner: Owner;
}

/** All that there is to say of a device. A record is never changed: what changes is which one is the device's. */
export interface DeviceRecord extends Holding {
  readonly platform: PlatformDevice;
  readonly blockers: readonly Blocker[];
  /** Nothing but what passes by itself is in the way of a guest. */
  readonly assignable: boolean;
  /** Nothing is. */
  readonly available: boolean;
}

export const UNHELD: Holding = {
  state: "observed",
  context: null,
  ioas: null,
  deviceId: null,
  owner: null,
};
