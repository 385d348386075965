/** The version of what is written here. Members may be added to it; a reader leaves out what it does not know. */
export const RECORD_VERSION = 1;

/** Seconds between two heartbeats, where nobody says. */
export const USUAL_INTERVAL = 30;

/** What a host says of itself in a store, beside its profile. */
export interface HostRecord {
  readonly version: typeof RECORD_VERSION;
  readonly host: string;
  /** Of its profile. */
  readonly digest: string;
  /** The daemon's, as in its greeting. */
  readonly instance: string;
  readonly sequence: number;
  /** When this profile was published first, ISO 8601, by the host's clock. */
  readonly published: string;
  /** When this was written, likewise. */
  readonly heartbeat: string;
  /** Seconds until the next heartbeat: after three of them without one the host is stale. */
  readonly interval: number;
  /** Random, of the process that writes: two of them under one name would otherwise look like one. */
  readonly publisher: string;
  /** Somebody else writes under this name. */
  readonly contested?: true;
}

/** What stands beside the profile where both are members of one object. */
export const RECORD_MEMBERS: ReadonlySet<string> = new Set([
  ...(["version", "host", "digest", "instance", "sequence", "published", "heartbeat"] as const),
  ...(["interval", "publisher", "contested"] as const),
] satisfies (keyof HostRecord)[]);

/** A host's name where it is a key of a store and the name of a file. */
export const HOST_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-])){0,199}$/;

/** A record as it was read. */
export interface ReadRecord {
  readonly digest: string;
  /** Milliseconds since 1970 by the host's clock; undefined when it says none. */
  readonly heartbeat: number | undefined;
  readonly interval: number;
  readonly instance: string;
  readonly published: string | undefined;
  readonly publisher: string | undefined;
  readonly contested: boolean;
}

/** The value is none that this version understands; `message` says why. */
export class Unreadable extends Error {
  override readonly name = "Unreadable";
}

/** A JSON object. @throws Unreadable */
export function objectOf(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Unreadable(
      text === "" ? "it is empty, or cannot be read here" : "it is no JSON, or only a part of it",
    );
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new Unreadable("it is no JSON object");
  }
  return value as Record<string, unknown>;
}

/** @throws Unreadable */
export function readRecord(host: string, value: Record<string, unknown>): ReadRecord {
  refuseNewer(value.version, RECORD_VERSION);
  if (value.host !== undefined && value.host !== host) {
    const other = textOf(value.host);
    throw new Unreadable(
      `it says that it is of ${other === undefined ? "none" : `host ${JSON.stringify(other)}`}`,
    );
  }
  const { digest, interval } = value;
  if (typeof digest !== "string" || !/^[\x21-\x7e]{1,128}$/.test(digest)) {
    throw new Unreadable("its member digest is missing, or no digest");
  }
  const heartbeat = typeof value.heartbeat === "string" ? Date.parse(value.heartbeat) : Number.NaN;
  return {
    digest,
    heartbeat: Number.isNaN(heartbeat) ? undefined : heartbeat,
    interval: typeof interval === "number" && interval > 0 && interval <= 86_400 ? interval : USUAL_INTERVAL,
    instance: textOf(value.instance) ?? "",
    published: textOf(value.published),
    publisher: textOf(value.publisher),
    contested: value.contested === true,
  };
}

/** @throws Unreadable */
export function refuseNewer(version: unknown, known: number): void {
  if (version === undefined || version === known) return;
  if (typeof version === "number" && version > known) {
    throw new Unreadable(`it is of version ${version}, and this iovactl knows ${known}: update iovad here`);
  }
  throw new Unreadable("its version is none");
}

/** What is longer was written by none of us, and a part of it would keep all of it in memory. */
function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value.length <= 256 ? value : undefined;
}
