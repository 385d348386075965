// Guests that nobody thought of: members in every combination, sizes near the places where something changes.

const GiB = 2 ** 30;

/** `count` configurations that the seed says. */
export function randomConfigurations(seed, count) {
  const random = mulberry32(seed);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const sometimes = (share, members) => (random() < share ? members() : {});
  return Array.from({ length: count }, () => {
    const type = pick(["pc", "q35", "virt", "microvm"]);
    const memory = pick(SIZES) + pick([0, 0, 0, -8192, 8192, GiB, -GiB / 2]);
    const extra = pick([GiB / 2, GiB, 7 * GiB, 100 * GiB, 900 * GiB]);
    const machine = {
      type,
      memory: Math.max(memory, GiB / 8),
      ...sometimes(type === "microvm" ? 0 : 0.4, () => ({
        "max-memory": memory + extra,
        slots: pick([0, 1, 3, 16]),
      })),
      ...sometimes(type === "microvm" ? 1 : 0.4, () => ({
        "phys-bits": pick(type === "virt" ? [40, 44, 48] : [36, 40, 42, 48]),
      })),
      ...(type === "virt" ? virtMembers(pick, sometimes) : {}),
      ...(type === "pc" || type === "q35" ? pcMembers(pick, sometimes) : {}),
    };
    return { machine, name: `random ${JSON.stringify(machine)}` };
  });
}

const SIZES = [1, 2, 2.75, 3, 3.5, 4, 8, 255, 511, 600, 900, 940, 976, 1008, 1020, 1500, 4000].map(
  (size) => size * GiB,
);

function pcMembers(pick, sometimes) {
  return {
    ...sometimes(0.6, () => ({ "amd-vcpu": pick([true, false]) })),
    ...sometimes(0.2, () => ({ "max-ram-below-4g": pick(["1G", "2G", "3G", "3.5G"]) })),
    ...sometimes(0.2, () => ({ "pci-hole64-size": pick(["1G", GiB + 4096, "32G", "64G"]) })),
    ...sometimes(0.4, () => ({ version: pick(["2.4", "2.10", "2.11", "6.2", "7.0", "7.1", "9.0", "10.0"]) })),
  };
}

function virtMembers(pick, sometimes) {
  return {
    ...sometimes(0.2, () => ({ highmem: pick([true, false]) })),
    ...sometimes(0.3, () => ({ "highmem-ecam": pick([true, false]) })),
    ...sometimes(0.3, () => ({ "highmem-redists": pick([true, false]) })),
    ...sometimes(0.2, () => ({ "highmem-mmio": pick([true, false]) })),
    ...sometimes(0.2, () => ({ "highmem-mmio-size": pick(["512G", "1T", "2T"]) })),
    ...sometimes(0.4, () => ({ version: pick(["2.12", "6.2", "7.1", "7.2", "9.0", "10.0"]) })),
  };
}

/** Numbers from 0 to 1. */
function mulberry32(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
