import { mayChange } from "../../access/policy.ts";
import type { Context } from "../../host/contexts/context.ts";
import type { Ioas } from "../../host/contexts/ioas.ts";
import type { Owner } from "../../host/contexts/owners.ts";
import type { HeldDevice } from "../../host/devices/held-devices.ts";
import { HostError } from "../../host/errors.ts";
import type { Call } from "../method.ts";

/** The context, for who may add to it. @throws HostError PermissionDenied, ContextNotFound */
export function ownContext(name: string, call: Call): Context {
  const context = call.host.context(name);
  refuseForeign(`context "${name}"`, context.owner, call);
  return context;
}

/** The context, for who may end it with everything in it. @throws HostError PermissionDenied, ContextNotFound */
export function ownWholeContext(name: string, call: Call): Context {
  const context = ownContext(name, call);
  for (const ioas of context.ioases.values()) refuseForeignIoas(context.name, ioas, call);
  for (const held of call.host.devicesIn(context)) refuseForeignDevice(held, call);
  return context;
}

/** The IOAS, for who may change it. @throws HostError PermissionDenied, ContextNotFound, IoasNotFound */
export function ownIoas(context: string, id: number, call: Call): Ioas {
  const ioas = call.host.ioas(context, id);
  refuseForeignIoas(context, ioas, call);
  return ioas;
}

/** The held device, for who may change it. @throws HostError PermissionDenied, NotHeld */
export function ownDevice(device: string, call: Call): HeldDevice {
  const held = call.host.heldDevice(device);
  refuseForeignDevice(held, call);
  return held;
}

/** @throws HostError PermissionDenied */
export function refuseForeignDevice({ platform, owner }: HeldDevice, call: Call): void {
  refuseForeign(platform.device, owner, call);
}

function refuseForeignIoas(context: string, { id, owner }: Ioas, call: Call): void {
  refuseForeign(`IOAS ${id} in context "${context}"`, owner, call);
}

/** @throws HostError PermissionDenied when `what` belongs to another uid, and the caller is not root */
function refuseForeign(what: string, owner: Owner, { connection: { peer } }: Call): void {
  if (mayChange(peer.uid, owner)) return;
  throw new HostError(
    "PermissionDenied",
    `${what} belongs to uid ${owner}; only that user and root may change it`,
    {
      owner,
    },
  );
}
