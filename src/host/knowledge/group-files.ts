import type { Census, Group } from "../platform/census.ts";
import { DirectRegions } from "../platform/direct-regions.ts";
import type { Platform } from "../platform/platform.ts";
import { parseReservedRegions, type Region, type ReservedRegions } from "../platform/reserved-regions.ts";

interface GroupFile extends ReservedRegions {
  /** Of the group when the file was read. */
  readonly identity: string;
  readonly members: readonly string[];
  /** Whether a client has been told. */
  isAnswered: boolean;
}

/**
 * The `reserved_regions` files of the groups, each kept for as long as the same devices are in the group on the same
 * drivers.
 */
export class GroupFiles {
  readonly #platform: Platform;
  readonly #census: Census;
  readonly #dropped: (group: number) => void;
  readonly #files = new Map<number, GroupFile>();
  /** The group in whose file each device was counted. */
  readonly #groupOf = new Map<string, number>();
  /** Which groups have which 1:1 regions. */
  readonly direct = new DirectRegions();

  /** `dropped` is called when a file that was kept is not to be trusted any more. */
  constructor(platform: Platform, census: Census, dropped: (group: number) => void) {
    this.#platform = platform;
    this.#census = census;
    this.#dropped = dropped;
  }

  /** What the platform reports for the group. */
  regions(group: number): ReservedRegions {
    return this.#file(group);
  }

  /** As {@link regions}, for a client. `cached`: kept from an earlier answer. */
  answer(group: number): { readonly file: ReservedRegions; readonly cached: boolean } {
    const file = this.#file(group);
    const cached = file.isAnswered;
    file.isAnswered = true;
    return { file, cached };
  }

  #file(group: number): GroupFile {
    const seen = this.#census.group(group);
    const known = this.#files.get(group);
    if (known?.identity === (seen?.identity ?? "")) return known;
    if (known) this.forget(group);
    return this.#read(group, seen);
  }

  forget(group: number): void {
    const file = this.#files.get(group);
    if (!file) return;
    this.#files.delete(group);
    for (const device of file.members) this.#groupOf.delete(device);
    this.direct.remove(group);
    this.#dropped(group);
  }

  /** Forgets the file of the device's group. */
  forgetDevice(device: string): void {
    const group = this.#groupOf.get(device);
    if (group !== undefined) this.forget(group);
  }

  forgetAll(): void {
    for (const group of [...this.#files.keys()]) this.forget(group);
  }

  #read(group: number, seen: Group | undefined): GroupFile {
    const parsed = parseReservedRegions(this.#platform.reservedRegions(group));
    const members = [...(seen?.devices.keys() ?? [])];
    const file = { ...parsed, identity: seen?.identity ?? "", members, isAnswered: false };
    this.#files.set(group, file);
    for (const device of members) this.#groupOf.set(device, group);
    this.direct.set(group, members, parsed.regions.filter(isDirect));
    return file;
  }
}

/** Whether firmware demands that the region be mapped 1:1, always. */
export function isDirect({ type }: Region): boolean {
  return type === "direct";
}
