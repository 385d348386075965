/**
 * Gives each of several wants a share of things, nothing to two of them, whenever that is possible: by augmenting paths, as
 * for a maximum matching. Of things that serve alike the first are taken.
 *
 * Returns the shares in the order of the wants. Where one has less than its want counts, no more can be had for it beside
 * the wants before it, and those behind it were not looked at.
 */
export function shares<Want extends { readonly count: number }, Thing>(
  wants: readonly Want[],
  things: readonly Thing[],
  serves: (thing: Thing, want: Want) => boolean,
): Thing[][] {
  const serving = wants.map((want) => things.filter((thing) => serves(thing, want)));
  const owners = new Map<Thing, number>();
  /** Where each want goes on to look for a thing that nobody has: what somebody has stays somebody's. */
  const looked = wants.map(() => 0);

  const free = (want: number): Thing | undefined => {
    const own = serving[want] as Thing[];
    let at = looked[want] as number;
    while (at < own.length && owners.has(own[at] as Thing)) at++;
    looked[want] = at;
    return own[at];
  };

  /** Finds the want one thing more, if need be by finding another want another one. */
  const find = (want: number, asked: Set<number>): boolean => {
    asked.add(want);
    const thing =
      free(want) ??
      serving[want]?.find((each) => {
        const owner = owners.get(each) as number;
        return !asked.has(owner) && find(owner, asked);
      });
    if (thing === undefined) return false;
    owners.set(thing, want);
    return true;
  };

  wants.every(({ count }, want) => {
    for (let found = 0; found < count; found++) if (!find(want, new Set())) return false;
    return true;
  });
  return wants.map((_, want) => things.filter((thing) => owners.get(thing) === want));
}
