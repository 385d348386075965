/**
 * Why a range is excluded, and by whom. `region`: a reserved region of the device, or of its group as far as anybody
 * can tell. `aperture`: the device's IOMMU does not translate it. `reserved-elsewhere`: the kernel excludes it and
 * nothing known accounts for it; with a device, for that device alone. `host`: another host forbids it.
 */
export interface Cause {
  readonly device?: string;
  readonly group?: number;
  readonly kind: "region" | "aperture" | "reserved-elsewhere" | "host";
  /** The region's type, in the kernel's word. */
  readonly type?: string;
  /** The other host's name. */
  readonly host?: string;
}

/** Equal for causes that mean the same. Keys in ascending order put causes in the order of answers: by device, by kind. */
export function causeKey({ host = "", device = "", kind, type = "" }: Cause): string {
  return `${host}\n${device}\n${kind}\n${type}`;
}
