import type { Claim } from "./firmware-checks.ts";
import type { HostFiles } from "./host-files.ts";

const GROUPS = "/sys/kernel/iommu_groups";

/** A device as sysfs shows it, without a daemon. */
export interface HostDevice {
  readonly device: string;
  readonly group: number;
  readonly driver: string | undefined;
  /** Its node's name in /dev/vfio/devices. */
  readonly node: string | undefined;
}

/** Every device that has an IOMMU group. */
export function hostDevices(files: HostFiles): HostDevice[] {
  return files.list(GROUPS).flatMap((group) =>
    files.list(`${GROUPS}/${group}/devices`).map((device) => {
      const path = `${GROUPS}/${group}/devices/${device}`;
      return {
        device,
        group: Number(group),
        driver: files.linkName(`${path}/driver`),
        node: files.list(`${path}/vfio-dev`)[0],
      };
    }),
  );
}

/** Firmware's claims, from the groups' `reserved_regions`. */
export function hostClaims(files: HostFiles): Claim[] {
  const claims = new Map<string, { groups: number[]; devices: string[] }>();
  for (const group of files.list(GROUPS)) {
    const devices = files.list(`${GROUPS}/${group}/devices`);
    for (const line of (files.read(`${GROUPS}/${group}/reserved_regions`) ?? "").split("\n")) {
      const [start, last, type] = line.split(/\s+/);
      if (type !== "direct") continue;
      const key = [start, last].map((address) => `0x${BigInt(address as string).toString(16)}`).join("-");
      const claim = claims.get(key) ?? { groups: [], devices: [] };
      claims.set(key, { groups: [...claim.groups, Number(group)], devices: [...claim.devices, ...devices] });
    }
  }
  return Array.from(claims, ([key, claim]) => {
    const [start = "", last = ""] = key.split("-");
    return { start, last, ...claim };
  });
}

/** Who has one of these files open: processes that /proc shows to this user. */
export function holdersOf(files: HostFiles, paths: readonly string[]): string[] {
  const wanted = new Set(paths);
  return files
    .list("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) =>
      files.list(`/proc/${pid}/fd`).some((fd) => wanted.has(files.link(`/proc/${pid}/fd/${fd}`) ?? "")),
    )
    .map((pid) => `${files.read(`/proc/${pid}/comm`) ?? "a process"} (pid ${pid})`);
}
