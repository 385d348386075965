/** Why a range is excluded, as answers have it. */
export interface Cause {
  readonly kind: string;
  readonly type?: string | undefined;
  readonly device?: string | undefined;
  readonly host?: string | undefined;
}

/** How many devices are named beside one cause. */
const NAMED = 3;

/** `msi: 0000:83:00.0, 0000:84:00.0`: the devices of each kind of cause, of many the first. */
export function causesText(causes: readonly Cause[]): string {
  const kinds = new Map<string, string[]>();
  for (const cause of causes) {
    const who = kinds.get(kindOf(cause)) ?? [];
    kinds.set(kindOf(cause), who);
    who.push(...whoseOf(cause));
  }
  return Array.from(kinds, ([kind, who]) => (who.length === 0 ? kind : `${kind}: ${some(who)}`)).join("; ");
}

/** In a word or two: what lies there. */
export function kindOf(cause: Cause): string {
  if (cause.kind === "host") return "host";
  if (cause.kind === "region") return cause.type ?? "reserved";
  return cause.kind === "aperture" ? "outside the aperture" : "reserved elsewhere";
}

function whoseOf(cause: Cause): string[] {
  const who = cause.device ?? cause.host;
  return who === undefined ? [] : [who];
}

function some(names: readonly string[]): string {
  const each = [...new Set(names)];
  const more = each.length > NAMED ? ` and ${each.length - NAMED} more` : "";
  return each.slice(0, NAMED).join(", ") + more;
}
