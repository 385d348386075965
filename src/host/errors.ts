import type { LimitName } from "../limits.ts";

/**
 * What can go wrong for a client, by name. The names are API (`data.class`); codes and JSON belong to
 * the rpc layer.
 */
export type HostErrorClass =
  | "DeviceNotFound"
  | "DeviceBusy"
  | "DeviceNotReady"
  | "DeviceBlocked"
  | "ContextNotFound"
  | "IoasNotFound"
  | "IoasBusy"
  | "RangeConflict"
  | "NotSupported"
  | "PermissionDenied"
  | "LimitExceeded"
  | "AlreadyExists"
  | "KernelError"
  | "NotHeld";

/** @returns LimitExceeded; `message` says what there is too much of, and what to do */
export function limitExceeded(limit: LimitName, message: string): HostError {
  return new HostError("LimitExceeded", message, { limit });
}

/** A request that the host refuses; nothing has changed, or the model says what did. */
export class HostError extends Error {
  override readonly name = "HostError";
  readonly errorClass: HostErrorClass;
  /** Machine-readable detail beside the class: `errno`, `driver`, `blockers` … Addresses are bigints. */
  readonly data: Readonly<Record<string, unknown>>;

  /** `message` is for people and says what to do next. */
  constructor(errorClass: HostErrorClass, message: string, data: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.errorClass = errorClass;
    this.data = data;
  }
}
