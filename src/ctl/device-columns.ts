import type { Result } from "../client/index.ts";
import type { Role } from "./terminal/paint.ts";
import type { Column } from "./terminal/table.ts";

/** A device as query-devices has it. */
export type Device = Result<"query-devices">["devices"][number];

/** Whether a guest can have it: now, when somebody gives it back, or not until something is done. */
export function usability({
  available,
  assignable,
}: Pick<Device, "available" | "assignable">): "yes" | "busy" | "no" {
  if (available) return "yes";
  return assignable ? "busy" : "no";
}

export function usabilityRole(device: Device): Role {
  return ({ yes: "fits", busy: "warns", no: "blocks" } as const)[usability(device)];
}

/** What stands in the way, each reason once. */
export function reasons({ blockers }: Device): string {
  return [...new Set(blockers.map(({ reason }) => reason))].join(", ");
}

/** `guest1/2`, or the context alone. */
export function placeOf({ context, ioas }: Pick<Device, "context" | "ioas">): string {
  if (context === null) return "";
  return ioas === null ? context : `${context}/${ioas}`;
}

/** What a table of devices can show. */
export const DEVICE_COLUMNS: readonly Column<Device>[] = [
  { name: "device", of: ({ device }) => device },
  { name: "group", align: "right", of: ({ group }) => `${group}` },
  { name: "iommu", hidden: true, of: ({ iommu }) => iommu ?? "" },
  {
    name: "id",
    optional: true,
    of: ({ pci }) => (pci ? `${pci.vendor}:${pci.device}`.replaceAll("0x", "") : ""),
  },
  { name: "class", hidden: true, of: ({ pci }) => pci?.class.replace("0x", "") ?? "" },
  { name: "numa", hidden: true, align: "right", of: (device) => `${device["numa-node"] ?? ""}` },
  { name: "driver", of: ({ driver }) => driver ?? "" },
  { name: "node", hidden: true, of: (device) => device["vfio-device"] ?? "" },
  { name: "state", of: ({ state }) => state },
  { name: "place", optional: true, of: placeOf },
  { name: "owner", optional: true, align: "right", of: ({ owner }) => (owner ? `${owner.uid}` : "") },
  { name: "usable", of: usability, role: usabilityRole },
  { name: "users", optional: true, of: (device) => userNames(device) },
  { name: "why", optional: true, of: reasons, role: usabilityRole },
];

function userNames({ users = [] }: Device): string {
  return users.map(({ pid, command }) => `${command} (${pid})`).join(", ");
}
