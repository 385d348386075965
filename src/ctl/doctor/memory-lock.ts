import { humanSize } from "../../ranges/size.ts";
import { type Finding, failure, ok, warning } from "./finding.ts";
import type { HostFiles } from "./host-files.ts";

/** Above that, guests of a usual size start. */
const LITTLE = 1n << 30n;

/**
 * What this shell, and what is started from it, may lock. A guest's memory is pinned: once with one iommufd, and once
 * for every container with VFIO type1 (`drivers/vfio/vfio_iommu_type1.c: vfio_lock_acct`, per mm).
 */
export function checkMemoryLock(files: HostFiles, uid: number, guest: bigint | undefined): Finding {
  const line = /^Max locked memory\s+(\S+)/m.exec(files.read("/proc/self/limits") ?? "")?.[1];
  const needs =
    guest === undefined
      ? "a guest's RAM once with one iommufd, once per container with type1"
      : `${humanSize(guest)} once with one iommufd, ${humanSize(guest)} for each container with type1`;
  if (line === undefined) return ok("memory lock", "limit", `the limit is not to be seen; needed: ${needs}`);
  const limit = line === "unlimited" ? undefined : BigInt(line);
  const has = `this shell may lock ${limit === undefined ? "any amount" : humanSize(limit)}; needed: ${needs}`;
  if (limit === undefined) return ok("memory lock", "limit", has);
  if (uid === 0) return ok("memory lock", "limit", `${has}; root is not held to it`);
  const remedy = "raise it (ulimit -l, LimitMEMLOCK= of the unit, libvirt's memtune hard_limit)";
  if (guest !== undefined && limit < guest) return failure("memory lock", "limit", has, remedy);
  return guest === undefined && limit < LITTLE
    ? warning("memory lock", "limit", has, remedy)
    : ok("memory lock", "limit", has);
}
