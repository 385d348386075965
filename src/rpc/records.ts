import * as z from "zod";
import type { DeviceRecord, Holding } from "../host/devices/device-record.ts";
import type { Blocker } from "../host/platform/blockers.ts";
import type { ContextRecord, IoasRecord, Snapshot } from "../host/snapshot.ts";
import { lazily } from "../lazily.ts";
import { contextName, deviceName, ioasId } from "./inputs.ts";
import { toWireNamedRange, toWireRegion, wireNamedRanges, wireRegion } from "./wire.ts";

/** What a snapshot is made of: the form of devices, contexts and IO address spaces in answers and events. */

export const lease = lazily(() => z.enum(["persistent", "connection", "handed-over"]));
export const deviceState = lazily(() => z.enum(["observed", "held", "attached", "handed-over"]));

export const group = lazily(() =>
  z.int().nonnegative().meta({ description: "The number of the IOMMU group" }),
);

export const wireBlocker = lazily(() =>
  z
    .object({
      device: deviceName(),
      reason: z.enum([
        "direct-mapping",
        "no-iommu",
        "no-vfio-driver",
        "group-sibling",
        "no-cdev",
        "no-isolated-msi",
        "no-coherent-dma",
        "unsupported-page-size",
        "held",
        "handed-over",
        "in-use",
        "sibling-held",
      ]),
      detail: z.string().meta({ description: "For people; says what can be done" }),
      transient: z.boolean().meta({ description: "It passes when somebody gives a device back" }),
      region: wireRegion().optional(),
      devices: z
        .array(deviceName())
        .optional()
        .meta({ description: "Those that carry the region, or the siblings; of many, some" }),
    })
    .meta({ id: "Blocker", description: "Why a device cannot be given to a guest" }),
);

/** The members that change when somebody takes or gives back a device. */
export const wireHolding = lazily(() => ({
  state: deviceState(),
  context: contextName().nullable(),
  ioas: ioasId().nullable(),
  "device-id": z.int().nullable().meta({ description: "The device's object id in its context" }),
  owner: z.object({ uid: z.int() }).nullable().meta({ description: "Who holds it, or was given it" }),
  assignable: z.boolean().meta({ description: "Nothing is known to stand in the way but what passes" }),
  available: z.boolean().meta({ description: "Nothing is: to hold it now is not foreseen to fail" }),
  blockers: z.array(wireBlocker()),
}));

export const wireDevice = lazily(() =>
  z
    .object({
      device: deviceName(),
      group: group(),
      iommu: z
        .string()
        .nullable()
        .meta({ examples: ["dmar0"] }),
      pci: z
        .object({
          vendor: z.string(),
          device: z.string(),
          class: z.string(),
          "subsystem-vendor": z.string(),
          "subsystem-device": z.string(),
        })
        .nullable()
        .meta({ description: "In sysfs's words; null for what is no PCI device" }),
      "numa-node": z.int().nonnegative().nullable(),
      driver: z.string().nullable(),
      "vfio-device": z
        .string()
        .nullable()
        .meta({ examples: ["vfio0"] }),
      ...wireHolding(),
    })
    .meta({ id: "Device" }),
);

export const wireContext = lazily(() =>
  z
    .object({
      context: contextName(),
      shared: z.boolean().meta({ description: "Its iommufd was handed over: others may change it unseen" }),
      lease: lease(),
      ioas: z.array(ioasId()),
      devices: z.array(deviceName()),
    })
    .meta({ id: "Context" }),
);

export const wireIoas = lazily(() =>
  z
    .object({
      context: contextName(),
      ioas: ioasId(),
      devices: z.array(deviceName()),
      "allow-list": wireNamedRanges().nullable(),
      discovered: z.boolean().meta({ description: "Made by another holder of the context's iommufd" }),
    })
    .meta({ id: "Ioas" }),
);

export type WireDevice = z.output<ReturnType<typeof wireDevice>>;
export type WireContext = z.output<ReturnType<typeof wireContext>>;
export type WireIoas = z.output<ReturnType<typeof wireIoas>>;

/** All that events tell changes of. */
export interface WireSnapshot {
  readonly devices: WireDevice[];
  readonly contexts: WireContext[];
  readonly ioas: WireIoas[];
}

/** Records never change, and there are many: each has one form. */
const deviceForms = new WeakMap<DeviceRecord, WireDevice>();

/** Frozen: the same for as long as the device's record is. */
export function toWireDevice(record: DeviceRecord): WireDevice {
  const known = deviceForms.get(record);
  if (known) return known;
  const { device, group, driver, vfioDevice, iommu, numaNode } = record.platform;
  const pci = toWirePci(record.platform.pci);
  const form = Object.freeze({
    ...{ device, group, iommu, pci, "numa-node": numaNode, driver, "vfio-device": vfioDevice },
    ...toWireHolding(record),
  });
  deviceForms.set(record, form);
  return form;
}

function toWirePci(pci: DeviceRecord["platform"]["pci"]): WireDevice["pci"] {
  if (!pci) return null;
  const { subsystemVendor, subsystemDevice, ...ids } = pci;
  return { ...ids, "subsystem-vendor": subsystemVendor, "subsystem-device": subsystemDevice };
}

export function toWireHolding(record: DeviceRecord) {
  const { state, context, ioas, deviceId, owner, assignable, available }: Holding & DeviceRecord = record;
  return {
    ...{ state, context, ioas, "device-id": deviceId, owner: owner === null ? null : { uid: owner } },
    ...{ assignable, available, blockers: record.blockers.map(toWireBlocker) },
  };
}

export function toWireBlocker({
  region,
  devices,
  ...blocker
}: Blocker): z.output<ReturnType<typeof wireBlocker>> {
  return {
    ...blocker,
    ...(region ? { region: toWireRegion(region) } : {}),
    ...(devices ? { devices: [...devices] } : {}),
  };
}

export function toWireContext({ ioas, devices, ...context }: ContextRecord): WireContext {
  return { ...context, ioas: [...ioas], devices: [...devices] };
}

export function toWireIoas({ allowList, devices, ...ioas }: IoasRecord): WireIoas {
  return {
    ...ioas,
    devices: [...devices],
    "allow-list": allowList ? Array.from(allowList, toWireNamedRange) : null,
  };
}

/** Cheap when the devices have their forms already, as after toWireDevice() of each. */
export function toWireSnapshot({ devices, contexts, ioas }: Snapshot): WireSnapshot {
  return {
    devices: devices.map(toWireDevice),
    contexts: contexts.map(toWireContext),
    ioas: ioas.map(toWireIoas),
  };
}
