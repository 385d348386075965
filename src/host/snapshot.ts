import type { NamedRanges } from "../ranges/named-ranges.ts";
import type { Context } from "./contexts/context.ts";
import type { Ioas } from "./contexts/ioas.ts";
import type { Lease } from "./contexts/lease.ts";
import type { DeviceRecord } from "./devices/device-record.ts";
import type { HeldDevice } from "./devices/held-devices.ts";

export interface ContextRecord {
  readonly context: string;
  readonly shared: boolean;
  readonly lease: Lease;
  readonly ioas: readonly number[];
  readonly devices: readonly string[];
}

export interface IoasRecord {
  readonly context: string;
  readonly ioas: number;
  readonly devices: readonly string[];
  readonly allowList: NamedRanges | null;
  readonly discovered: boolean;
}

/**
 * Everything that the host tells changes of, at one moment: this and the changes since are the state. IO address spaces
 * that others have made in shared contexts are not in it: nobody tells of those.
 */
export interface Snapshot {
  readonly devices: readonly DeviceRecord[];
  readonly contexts: readonly ContextRecord[];
  readonly ioas: readonly IoasRecord[];
}

export function contextRecord(context: Context, held: readonly HeldDevice[]): ContextRecord {
  return {
    context: context.name,
    shared: context.shared,
    lease: context.lease,
    ioas: [...context.ioases.keys()],
    devices: held.map(({ platform }) => platform.device),
  };
}

export function ioasRecord({ context, id, devices, allowList, isDiscovered }: Ioas): IoasRecord {
  return { context: context.name, ioas: id, devices: [...devices], allowList, discovered: isDiscovered };
}
