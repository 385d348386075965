import type { WireContext, WireDevice, WireIoas, WireSnapshot } from "../rpc/records.ts";

/** An event as a client gets it. */
export interface FoldedEvent {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/**
 * The snapshot that `subscribe` would have given after the event: its answer and the events since are the state of the
 * host. What says nothing of the state, or is not known here, changes nothing.
 */
export function fold(state: WireSnapshot, { method, params }: FoldedEvent): WireSnapshot {
  const { device, context, ioas } = params as { device: string; context: string; ioas: number };
  switch (method) {
    case "DEVICE_ADDED":
      return { ...state, devices: [...state.devices, deviceMembers(params) as WireDevice].sort(byName) };
    case "DEVICE_REMOVED":
      return { ...state, devices: state.devices.filter((each) => each.device !== device) };
    case "DEVICE_CHANGED":
    case "DEVICE_HANDED_OVER":
      return withDevice(state, device, deviceMembers(params));
    case "DEVICE_HELD":
      return withMember(withDevice(state, device, deviceMembers(params)), device, context, null);
    case "DEVICE_ATTACHED":
      return withMember(withDevice(state, device, deviceMembers(params)), device, context, ioas);
    case "DEVICE_DETACHED":
      return withMember(
        withDevice(state, device, { ...deviceMembers(params), ioas: null }),
        device,
        context,
        null,
      );
    case "DEVICE_RELEASED":
      return withoutMember(
        withDevice(state, device, { ...deviceMembers(params), context: null, ioas: null }),
        device,
      );
    case "CONTEXT_CREATED": {
      const created = { context, shared: false, lease: params.lease, ioas: [], devices: [] };
      return { ...state, contexts: [...state.contexts, created as WireContext] };
    }
    case "CONTEXT_HANDED_OVER":
      return withContext(state, context, () => ({ shared: true }));
    case "CONTEXT_DESTROYED":
      return { ...state, contexts: state.contexts.filter((each) => each.context !== context) };
    case "IOAS_CREATED": {
      const created: WireIoas = { context, ioas, devices: [], "allow-list": null, discovered: false };
      return withContext({ ...state, ioas: [...state.ioas, created].sort(byId) }, context, (each) => ({
        ioas: [...each.ioas, ioas],
      }));
    }
    case "IOAS_DESTROYED": {
      const left = state.ioas.filter((each) => each.context !== context || each.ioas !== ioas);
      return withContext({ ...state, ioas: left }, context, (each) => ({
        ioas: each.ioas.filter((id) => id !== ioas),
      }));
    }
    case "ALLOW_LIST_CHANGED":
      return withIoas(state, context, ioas, () => ({
        "allow-list": params["allow-list"] as WireIoas["allow-list"],
      }));
    default:
      return state;
  }
}

/** What an event tells of its device. */
function deviceMembers({ sequence, timestamp, cause, uid, ...members }: FoldedEvent["params"]) {
  return members as Partial<WireDevice>;
}

function withDevice(state: WireSnapshot, device: string, members: Partial<WireDevice>): WireSnapshot {
  const devices = state.devices.map((each) => (each.device === device ? { ...each, ...members } : each));
  return { ...state, devices };
}

/** The device in the context, and in no IOAS but the one given. */
function withMember(state: WireSnapshot, device: string, context: string, ioas: number | null): WireSnapshot {
  const held = withContext(state, context, ({ devices }) =>
    devices.includes(device) ? {} : { devices: [...devices, device] },
  );
  const detached = withoutDevice(held, device);
  if (ioas === null) return detached;
  return withIoas(detached, context, ioas, ({ devices }) => ({ devices: [...devices, device] }));
}

function withoutMember(state: WireSnapshot, device: string): WireSnapshot {
  const contexts = state.contexts.map((each) => without(each, device));
  return withoutDevice({ ...state, contexts }, device);
}

function withoutDevice(state: WireSnapshot, device: string): WireSnapshot {
  return { ...state, ioas: state.ioas.map((each) => without(each, device)) };
}

function without<T extends { devices: string[] }>(place: T, device: string): T {
  if (!place.devices.includes(device)) return place;
  return { ...place, devices: place.devices.filter((each) => each !== device) };
}

function withContext(
  state: WireSnapshot,
  context: string,
  change: (before: WireContext) => Partial<WireContext>,
): WireSnapshot {
  const contexts = state.contexts.map((each) =>
    each.context === context ? { ...each, ...change(each) } : each,
  );
  return { ...state, contexts };
}

function withIoas(
  state: WireSnapshot,
  context: string,
  id: number,
  change: (before: WireIoas) => Partial<WireIoas>,
): WireSnapshot {
  const ioas = state.ioas.map((each) =>
    each.context === context && each.ioas === id ? { ...each, ...change(each) } : each,
  );
  return { ...state, ioas };
}

function byName(a: WireDevice, b: WireDevice): number {
  return a.device < b.device ? -1 : 1;
}

function byId(a: WireIoas, b: WireIoas): number {
  if (a.context !== b.context) return a.context < b.context ? -1 : 1;
  return a.ioas - b.ioas;
}
