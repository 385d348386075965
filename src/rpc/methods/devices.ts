import * as z from "zod";
import { lazily } from "../../lazily.ts";
import { formatAddress } from "../../ranges/address.ts";
import { context, contextName, device, deviceName, ioasId } from "../inputs.ts";
import { defineMethod } from "../method.ts";
import { toWireRanges, wireAddress, wireRanges } from "../wire.ts";
import { reservedResult } from "./host.ts";
import { ownContext, ownDevice, ownIoas, refuseForeignDevice } from "./ownership.ts";
import { toWireReserved } from "./reserved.ts";

const deviceParams = lazily(() => z.strictObject({ device: device() }));

export const probeDevice = defineMethod({
  name: "probe-device",
  role: "control",
  summary:
    "Asks the kernel for one device's reserved ranges and aperture: binds it, attaches it alone, reads, lets it go. Resets the device.",
  params: () => deviceParams(),
  result: () => reservedResult(),
  errors: ["DeviceNotFound", "DeviceBusy", "DeviceNotReady", "DeviceBlocked", "NotSupported", "KernelError"],
  handler: async ({ device }, { host }) => {
    const { platform, reserved } = await host.probe(device);
    return toWireReserved(platform, reserved);
  },
});

export const holdDevice = defineMethod({
  name: "hold-device",
  role: "control",
  summary: "Binds a device into a context. Until it is released nobody else can use it.",
  params: () => z.strictObject({ device: device(), context: context() }),
  result: () =>
    z.object({
      device: deviceName(),
      context: contextName(),
      "device-id": z.int().meta({ description: "The device's object id in the context" }),
    }),
  errors: [
    "DeviceNotFound",
    "DeviceBusy",
    "DeviceNotReady",
    "DeviceBlocked",
    "ContextNotFound",
    "PermissionDenied",
    "LimitExceeded",
    "NotSupported",
    "KernelError",
  ],
  handler: async ({ device, context: name }, call) => {
    ownContext(name, call);
    const held = await call.host.hold(device, name, call.connection.peer.uid);
    return { device, context: held.context.name, "device-id": held.deviceId };
  },
});

export const releaseDevice = defineMethod({
  name: "release-device",
  role: "control",
  summary: "Gives a device back. An attached one is detached.",
  params: () => deviceParams(),
  result: () => z.object({ device: deviceName() }),
  errors: ["NotHeld", "PermissionDenied", "DeviceBusy"],
  handler: async ({ device }, call) => {
    ownDevice(device, call);
    await call.host.release(device, call.connection.peer.uid);
    return { device };
  },
});

export const attachDevice = defineMethod({
  name: "attach-device",
  role: "control",
  summary:
    "Attaches a held device to an IOAS of its context. An attached one moves, its attached siblings with it.",
  params: () => z.strictObject({ device: device(), ioas: ioasId() }),
  result: () =>
    z.object({
      device: deviceName(),
      context: contextName(),
      ioas: ioasId(),
      ranges: wireRanges().meta({ description: "What the IOAS allows with the device in it" }),
      "iova-alignment": wireAddress(),
    }),
  errors: [
    "NotHeld",
    "PermissionDenied",
    "IoasNotFound",
    "DeviceBusy",
    "DeviceBlocked",
    "RangeConflict",
    "DeviceNotFound",
    "KernelError",
  ],
  handler: async ({ device, ioas }, call) => {
    ownIoas(ownDevice(device, call).context.name, ioas, call);
    const { held, answer } = await call.host.attach(device, ioas, (sibling) =>
      refuseForeignDevice(sibling, call),
    );
    return {
      device,
      context: held.context.name,
      ioas,
      ranges: toWireRanges(answer.ranges),
      "iova-alignment": formatAddress(answer.alignment),
    };
  },
});

export const detachDevice = defineMethod({
  name: "detach-device",
  role: "control",
  summary: "Detaches a device from its IOAS and keeps holding it.",
  params: () => deviceParams(),
  result: () =>
    z.object({
      device: deviceName(),
      context: contextName(),
      ioas: ioasId().nullable().meta({ description: "Where it was attached; null when it was not" }),
    }),
  errors: ["NotHeld", "PermissionDenied", "DeviceBusy", "KernelError"],
  handler: async ({ device }, call) => {
    ownDevice(device, call);
    const { held, ioas } = await call.host.detach(device, call.connection.peer.uid);
    return { device, context: held.context.name, ioas: ioas?.id ?? null };
  },
});
