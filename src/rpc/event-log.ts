import type { Limits } from "../limits.ts";
import type { EventWording, WireEvent } from "./wire-event.ts";

/** An event in the log. */
export interface LoggedEvent extends WireEvent {
  readonly sequence: number;
}

interface Entry extends LoggedEvent {
  /** Its line in each dialect that it was asked for in. */
  readonly lines: Map<string, string>;
  /** Bytes of all events since the beginning, without this one and with it. */
  readonly begin: number;
  readonly end: number;
}

/** Events on their way, as whole lines. */
export interface Lines<T extends string | Buffer> {
  readonly lines: T;
  /** How many they are. */
  readonly count: number;
  /** The sequence of the last event that was looked at. */
  readonly last: number;
}

/**
 * The last events, by their sequence. All who get events read from here, each at its own pace: an event is put into
 * words once, however many subscribe and however late they read.
 */
export class EventLog {
  readonly #limits: Limits;
  readonly #now: () => number;
  readonly #keep: () => void;
  /** From `#first` on; those before were forgotten. */
  #entries: (Entry | undefined)[] = [];
  #first = 0;
  #sequence: number;
  /** How many events there have been of each name, the forgotten ones among them. */
  readonly #counts = new Map<string, number>();
  /** Of the present end; another event makes them all longer. */
  readonly #pieces = new Map<string, Lines<Buffer>>();

  /**
   * `now`: the wall clock in milliseconds. `keep` is called before anybody is told of an event: from then on a later life has
   * to know it as well.
   */
  constructor(limits: Limits, now: () => number, keep = () => {}) {
    this.#limits = limits;
    this.#now = now;
    this.#keep = keep;
    this.#sequence = 0;
  }

  /** Before the first event: the last ones of an earlier life, oldest first. */
  takeOver(events: Iterable<Pick<WireEvent, "method" | "text">>): void {
    for (const { method, text } of events) {
      const params = Object.freeze(JSON.parse(text));
      this.#sequence = params.sequence;
      this.#add(method, params, text);
    }
  }

  /** Of the last event; 0 before the first. */
  get sequence(): number {
    this.#keep();
    return this.#sequence;
  }

  /** Of the oldest event that is remembered; of the next one when none is. */
  get oldest(): number {
    return this.#entries[this.#first]?.sequence ?? this.#sequence + 1;
  }

  /** Adds an event, and forgets the oldest beyond the limits. */
  add(method: string, params: Readonly<Record<string, unknown>>): LoggedEvent {
    this.#sequence++;
    const stamped = Object.freeze({ ...params, ...this.stamp() });
    return this.#add(method, stamped, JSON.stringify(stamped));
  }

  #add(method: string, stamped: WireEvent["params"], text: string): LoggedEvent {
    const begin = this.#entries.at(-1)?.end ?? 0;
    const end = begin + Buffer.byteLength(text);
    const event = { method, params: stamped, text, sequence: this.#sequence };
    this.#entries.push({ ...event, lines: new Map(), begin, end });
    this.#counts.set(method, (this.#counts.get(method) ?? 0) + 1);
    this.#pieces.clear();
    while (this.#isTooMuch()) this.#entries[this.#first++] = undefined;
    // Forgetting from the front costs the length of the rest: not each time.
    if (this.#first > 1024 && this.#first > this.#entries.length / 2) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
    return event;
  }

  /** How many events of these names have been added or taken over, the forgotten ones among them; null: of all. */
  count(names: ReadonlySet<string> | null): number {
    let count = 0;
    for (const [name, each] of this.#counts) if (names?.has(name) ?? true) count += each;
    return count;
  }

  /** What every event carries; of the last one. */
  stamp() {
    const microseconds = Math.floor(this.#now() * 1000);
    const seconds = Math.floor(microseconds / 1_000_000);
    return { sequence: this.#sequence, timestamp: { seconds, microseconds: microseconds % 1_000_000 } };
  }

  /** The events behind `sequence`, oldest first; of those that are remembered when each is taken. */
  *after(sequence: number): Generator<LoggedEvent, void, undefined> {
    for (let last = sequence; ; ) {
      this.#keep();
      // Not counted on from the last: meanwhile events may have been added, and others forgotten.
      const entry = this.#entries[this.#indexAfter(last)];
      if (!entry) return;
      last = entry.sequence;
      yield entry;
    }
  }

  /** Bytes of the events behind `sequence`, as JSON-RPC's params. */
  bytesAfter(sequence: number): number {
    const index = this.#indexAfter(sequence);
    const last = this.#entries.at(-1);
    return last ? last.end - (this.#entries[index]?.begin ?? last.end) : 0;
  }

  /**
   * The lines of about so many bytes of events behind `sequence`, and the last event that they cover. `names`: only of
   * these; null: of all.
   */
  lines(
    sequence: number,
    dialect: EventWording,
    bytes: number,
    names: ReadonlySet<string> | null,
  ): Lines<string> {
    let lines = "";
    let count = 0;
    let last = sequence;
    for (const event of this.after(sequence)) {
      last = event.sequence;
      if (!(names?.has(event.method) ?? true)) continue;
      lines += this.#line(event as Entry, dialect);
      count++;
      if (lines.length >= bytes) break;
    }
    return { lines, count, last };
  }

  /** The same as bytes. Of all events, all who are at the same place share them. */
  piece(
    sequence: number,
    dialect: EventWording,
    bytes: number,
    names: ReadonlySet<string> | null,
  ): Lines<Buffer> {
    const place = `${dialect.name} ${sequence} ${bytes}`;
    const shared = names === null ? this.#pieces.get(place) : undefined;
    if (shared) return shared;
    const read = this.lines(sequence, dialect, bytes, names);
    const piece = { ...read, lines: Buffer.from(read.lines) };
    if (names === null) this.#pieces.set(place, piece);
    return piece;
  }

  #line(entry: Entry, dialect: EventWording): string {
    const known = entry.lines.get(dialect.name);
    if (known !== undefined) return known;
    const line = dialect.event(entry) + dialect.lineEnd;
    entry.lines.set(dialect.name, line);
    return line;
  }

  #isTooMuch(): boolean {
    const count = this.#entries.length - this.#first;
    const bytes = (this.#entries.at(-1)?.end ?? 0) - (this.#entries[this.#first]?.begin ?? 0);
    return count > this.#limits["event-history"] || bytes > this.#limits["max-event-history"];
  }

  #indexAfter(sequence: number): number {
    return this.#first + Math.max(0, sequence + 1 - this.oldest);
  }
}
