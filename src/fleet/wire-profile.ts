import { hash } from "node:crypto";
import { PROFILE_VERSION, type Profile, type ProfileDevice } from "../plan/fleet/profile.ts";
import { parseAddress } from "../ranges/address.ts";
import type { Range } from "../ranges/range.ts";
import { RangeSet } from "../ranges/range-set.ts";
import { finish } from "../ranges/steps.ts";
import { digestOf } from "../rpc/canonical-json.ts";
import { RECORD_MEMBERS, refuseNewer, Unreadable } from "./record.ts";

/** What the digest of a profile is of, as this version knows it. */
const SUMMARY = ["exact", "hint", "iova-alignment", "allowed", "devices", "lists"];
/** What only its long form has, of which the digest is not. */
const LONG = new Set(["schema-version", "kernel", "excluded"]);

/**
 * Ranges of a list. What a kernel reserves cuts a list into a few; an answer about a pool names every host of it for each
 * piece of each list.
 */
const MOST_RANGES = 1024;

/** So many ranges, and so many characters of names, are remembered: what hosts have in common is less. */
const MOST = 2_000_000;

/**
 * Reads profiles as `query-host-profile` tells them. Equal lists become one object: that is what makes questions cost
 * per class. By hand and not by the wire's schema: ten thousand profiles are to be read within a second.
 */
export class ProfileReader {
  /** By a hash of their text, which would be longer than they are. */
  readonly #lists = new Kept<RangeSet>();
  readonly #words = new Kept<string>();
  readonly #ids = new Kept<ProfileDevice["pci"]>();

  /** @throws Unreadable, also when the digest is of something else */
  read(value: Record<string, unknown>): Profile {
    refuseNewer(value["schema-version"], PROFILE_VERSION);
    const { digest, exact, hint, "iova-alignment": alignment } = value;
    const lists = listOf(value.lists, "lists").map((list) => this.#ranges(list));
    const profile = {
      allowed: this.#ranges(value.allowed),
      alignment: alignmentOf(alignment),
      exact: exact === true,
      ...(typeof hint === "string" ? { hint } : {}),
      devices: listOf(value.devices, "devices").map((device, i) => this.#device(device, i, lists)),
    };
    if (typeof digest === "string" && isDigestOf(value, digest)) return { digest, ...profile };
    throw new Unreadable("its digest is not that of what it says: it was changed, or damaged on its way");
  }

  #ranges(list: unknown): RangeSet {
    if (Array.isArray(list) && list.length > MOST_RANGES) {
      throw new Unreadable(
        `a list of it is in ${list.length} ranges, and no more than ${MOST_RANGES} are read`,
      );
    }
    const ranges = listOf(list, "a list of ranges");
    const key = hash("sha1", JSON.stringify(ranges), "base64");
    return this.#lists.get(key, 1 + ranges.length, () => RangeSet.from(ranges.map(rangeOf)));
  }

  #device(value: unknown, index: number, lists: readonly RangeSet[]): ProfileDevice {
    const { device, pci, assignable, available, exact, allowed } = (value ?? {}) as Record<string, unknown>;
    const list = typeof allowed === "number" ? lists[allowed] : undefined;
    if (typeof device !== "string" || !list) {
      throw new Unreadable(`devices[${index}] has no name, or no list`);
    }
    return {
      device: this.#words.get(device, device.length, () => device),
      pci: this.#pci(pci),
      assignable: assignable === true,
      available: available === true,
      exact: exact === true,
      allowed: list,
    };
  }

  #pci(value: unknown): ProfileDevice["pci"] {
    const { vendor, device } = (value ?? {}) as Record<string, unknown>;
    if (typeof vendor !== "string" || typeof device !== "string") return null;
    const key = `${vendor} ${device}`;
    return this.#ids.get(key, key.length, () => ({ vendor, device }));
  }
}

/** Whether nothing of a profile was changed. What a later version has beside it belongs to it, or to the record. */
function isDigestOf(value: Record<string, unknown>, digest: string): boolean {
  const isOf = (names: readonly string[]) => {
    const part = Object.fromEntries(names.map((name) => [name, value[name]]));
    return finish(digestOf(part as Parameters<typeof digestOf>[0])) === digest;
  };
  const names = Object.keys(value).filter((name) => !RECORD_MEMBERS.has(name) && !LONG.has(name));
  return isOf(names) || (names.some((name) => !SUMMARY.includes(name)) && isOf(SUMMARY));
}

/** Of equal things one; all are forgotten when they are too much, for whoever publishes may make up new ones for ever. */
class Kept<T> {
  readonly #all = new Map<string, T>();
  #weight = 0;

  /** The one that is there, or it is made and kept. */
  get(key: string, weight: number, make: () => T): T {
    const known = this.#all.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#weight += weight;
    if (this.#weight > MOST) {
      this.#all.clear();
      this.#weight = weight;
    }
    this.#all.set(key, made);
    return made;
  }
}

function alignmentOf(value: unknown): bigint | null {
  if (value === null || value === undefined) return null;
  const alignment = addressOf(value);
  if (alignment > 0n && (alignment & (alignment - 1n)) === 0n) return alignment;
  throw new Unreadable("its iova-alignment is no power of two");
}

function listOf(value: unknown, name: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw new Unreadable(`${name} is missing, or no list`);
}

function rangeOf(value: unknown): Range {
  const { start, last } = (value ?? {}) as Record<string, unknown>;
  const range = { start: addressOf(start), last: addressOf(last) };
  if (range.start > range.last) throw new Unreadable("a range starts above its last address");
  return range;
}

function addressOf(value: unknown): bigint {
  try {
    if (typeof value === "string") return parseAddress(value);
  } catch {}
  throw new Unreadable(`${JSON.stringify(value)?.slice(0, 40)} is no address`);
}
