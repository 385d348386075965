// A reading of the texts of QEMU's monitor, whose lines end as on a terminal, that has nothing in common with src/plan/mtree.ts: by position, without a pattern for a line.

const PAGE = 4096n;

/** What VFIO would map of the text of `info mtree -f`: name, first and last address, and whether it is needed. */
export function flatWindows(text) {
  const views = text.split("FlatView #").map((view) => view.split("\r\n"));
  const view = views.find((lines) => lines.includes(' AS "memory", root: system'));
  const windows = [];
  for (const line of view) {
    if (!line.startsWith("  0") && !line.startsWith("  f")) continue;
    const kind = line.slice(line.indexOf(", ") + 2, line.indexOf("): ")).replace("nv-", "");
    if (!["ram", "rom", "ramd"].includes(kind)) continue;
    const start = ((BigInt(`0x${line.slice(2, 18)}`) + PAGE - 1n) / PAGE) * PAGE;
    const end = ((BigInt(`0x${line.slice(19, 35)}`) + 1n) / PAGE) * PAGE;
    const [name] = line.slice(line.indexOf("): ") + 3).split(/ owner:| parent:| orphan/);
    if (start < end && start < 1n << 63n)
      windows.push({ name, start, last: end - 1n, required: kind !== "ramd" });
  }
  return windows;
}

/** Ranges that touch or overlap, as one; ascending. */
export function merged(ranges) {
  const all = [];
  for (const { start, last } of ranges.toSorted((a, b) => (a.start < b.start ? -1 : 1))) {
    const before = all.at(-1);
    if (before && start <= before.last + 1n) before.last = last > before.last ? last : before.last;
    else all.push({ start, last });
  }
  return all;
}

/** The places of a region, or of an alias, in the text of `info mtree`, which shows most regions more than once. */
export function placesOf(text, region) {
  const places = text.split("\r\n").flatMap((line) => {
    const [, low, high, name] = /^ +([0-9a-f]+)-([0-9a-f]+) \(.*\): (?:alias )?([^ ]+)/.exec(line) ?? [];
    return name === region ? [{ start: BigInt(`0x${low}`), last: BigInt(`0x${high}`) }] : [];
  });
  return merged(places);
}
