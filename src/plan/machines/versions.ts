/** The machine types that QEMU keeps in versions, oldest first, with the oldest version that Debian's QEMUs still have. */
const FAMILIES = {
  pc: { prefix: "pc-i440fx-", oldest: "1.4" },
  q35: { prefix: "pc-q35-", oldest: "2.4" },
  virt: { prefix: "virt-", oldest: "2.6" },
} as const;
export type VersionedType = keyof typeof FAMILIES;

/** What QEMU has released: of each major version the first and the last minor one that a machine type is named after. */
const RELEASES: readonly (readonly [major: number, first: number, last: number])[] = [
  [1, 4, 7],
  [2, 0, 12],
  [3, 0, 1],
  [4, 0, 2],
  [5, 0, 2],
  [6, 0, 2],
  [7, 0, 2],
  [8, 0, 2],
  [9, 0, 2],
  [10, 0, 2],
  [11, 0, 1],
];

/** Oldest first. */
export function versionsOf(type: VersionedType): string[] {
  const { oldest } = FAMILIES[type];
  return RELEASES.flatMap(([major, first, last]) =>
    Array.from({ length: last - first + 1 }, (_, n) => `${major}.${first + n}`),
  )
    .flatMap((version) => (type === "q35" && version === "4.0" ? [version, "4.0.1"] : [version]))
    .filter((version) => compareVersions(version, oldest) >= 0);
}

/** Whether a machine is of `version` or older. Without one it is of the newest. */
export function isUpTo(version: string, machine: { readonly version?: string | undefined }): boolean {
  return machine.version !== undefined && compareVersions(machine.version, version) <= 0;
}

/** `pc-q35-6.2` */
export function fullName(type: VersionedType, version: string): string {
  return `${FAMILIES[type].prefix}${version}`;
}

/** What QEMU's full name of a machine says; undefined when it is none. */
export function readFullName(name: string): { type: VersionedType; version: string } | undefined {
  for (const type of ["pc", "q35", "virt"] as const) {
    const { prefix } = FAMILIES[type];
    if (name.startsWith(prefix)) return { type, version: name.slice(prefix.length) };
  }
  return undefined;
}

/**
 * The version that "6.2", or QEMU's full name with it, means for a machine of this type.
 * @throws RangeError that names the nearest there is, when there is no such version
 */
export function resolveVersion(type: VersionedType, given: string): string {
  const named = readFullName(given);
  if (named !== undefined && named.type !== type) {
    throw new RangeError(`this is a ${named.type}, and the machine a ${type}: give the type ${named.type}`);
  }
  const wanted = named?.version ?? given;
  const versions = versionsOf(type);
  if (versions.includes(wanted)) return wanted;
  const newest = versions.at(-1);
  if (!/^\d{1,4}(\.\d{1,4}){1,2}$/.test(wanted)) {
    throw new RangeError(
      `expected a version as in "${newest}" or "${fullName(type, `${newest}`)}"; of a vendor's machine type, give the version of QEMU that it was made from`,
    );
  }
  const below = versions.findLast((version) => compareVersions(version, wanted) < 0);
  const above = versions.find((version) => compareVersions(version, wanted) > 0);
  if (above === undefined) {
    throw new RangeError(`the newest known here is ${below}; leave the version out for what that does`);
  }
  const nearest = below === undefined ? `the oldest is ${above}` : `the nearest are ${below} and ${above}`;
  throw new RangeError(`there is no such ${type}; ${nearest}`);
}

/** Less than 0 when `a` is older. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number)) as [number[], number[]];
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
