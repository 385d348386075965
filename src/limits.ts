/** One bound on what clients may take of the daemon. */
export interface LimitDefinition {
  /** What the number counts: bytes, seconds, or things. */
  readonly unit: "BYTES" | "SECONDS" | "N";
  readonly about: string;
  readonly default: number;
  readonly min: number;
  readonly max: number;
}

const MiB = 1024 * 1024;
const MANY = 1_000_000;

/**
 * Every bound there is, under the one name that it has everywhere: as an option, in the config file, in the README's
 * table and in `data.limit` of LimitExceeded.
 */
export const LIMITS = {
  "max-request": bytes("in a request line", MiB, 1024),
  "max-nesting": things("levels of arrays and objects in a request", 64, 1000, 8),
  "max-batch": things("requests in a batch", 100, 100_000),
  "max-in-flight": things("requests of a connection that wait to be answered", 4096),
  "max-buffered": bytes(
    "of lines, answers and events that wait, over all clients (of answers, and of lines that wait, characters are counted); who has most of it is cut off",
    48 * MiB,
    MiB,
  ),
  "max-buffered-per-uid": bytes("of the same, of one user", 24 * MiB, MiB),
  "max-partial-seconds": {
    unit: "SECONDS",
    about:
      "that an unfinished line may stand still before its connection ends, without a word; looked at every 5 seconds",
    default: 60,
    min: 1,
    max: 86_400,
  },
  "max-queue": bytes("of events that wait for a slow reader, which then gets EVENTS_LOST", 8 * MiB, 4096),
  "event-history": things("past events that are kept for who comes back", 10_000),
  "max-event-history": bytes("that they may take", 16 * MiB, 65_536),
  "max-connections": things("connections, of which a sixteenth is for role control", 1024, 100_000),
  "max-connections-per-uid": things("connections of one user", 512, 100_000),
  "max-subscriptions-per-uid": things("connections of one user that get events", 128, 100_000),
  "max-contexts": things("contexts", 1024),
  "max-contexts-per-uid": things("contexts of one user", 512),
  "max-ioases-per-context": things("IOASes in a context", 1024),
  "max-ioases-per-uid": things("IOASes of one user", 4096),
  "max-held-devices-per-uid": things("devices that one user holds", 1024),
  "max-devices": things("devices that one request names", 1024, 65_536),
  "max-windows": things("windows in a layout", 4096, 65_536),
  "max-lists": things("lists of ranges in one request", 4096, 65_536),
  "max-ranges": things("ranges in all lists of a request together", 65_536),
  "max-hosts": things("other hosts in one request", 1024, 65_536),
  "max-causes": things("causes that one answer names", 100_000, 10_000_000),
} as const satisfies Record<string, LimitDefinition>;

export type LimitName = keyof typeof LIMITS;

/** What holds now. Read where it is applied, and not kept: a reload of the configuration changes it. */
export type Limits = Readonly<Record<LimitName, number>>;

export const DEFAULT_LIMITS: Limits = Object.freeze(
  Object.fromEntries(Object.entries(LIMITS).map(([name, limit]) => [name, limit.default])),
) as Limits;

function bytes(about: string, value: number, min: number): LimitDefinition {
  return { unit: "BYTES", about: `bytes ${about}`, default: value, min, max: 2 ** 30 };
}

function things(about: string, value: number, max = MANY, min = 1): LimitDefinition {
  return { unit: "N", about, default: value, min, max };
}
