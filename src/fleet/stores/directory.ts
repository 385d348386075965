import { constants, watch as watchDirectory } from "node:fs";
import { open, readdir, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { inDirectory, isMissing } from "../in-directory.ts";
import { HOST_NAME, type HostRecord } from "../record.ts";
import {
  type FleetStore,
  type StoreChange,
  type StoredValue,
  StoreError,
  type WireProfile,
} from "./store.ts";

const SUFFIX = ".json";
/** Milliseconds between two looks: of a change on another machine (NFS, rsync) the kernel says nothing. */
const LOOK = 1000;
/** Bytes of the longest file that is read: the profile of a host of 50,000 devices. */
const LONGEST = 16 * 1024 * 1024;
/** How many files are read at a time. */
const SIDE_BY_SIDE = 32;

/** A directory with a file for each host, which has its profile in it: nothing to install. */
export class DirectoryStore implements FleetStore {
  readonly place: string;
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    this.place = directory;
  }

  async publish(record: HostRecord, profile: WireProfile): Promise<void> {
    const path = this.#path(record.host);
    // Its name hides it from readers, and from rsync as rsync's own do.
    const fresh = join(this.#directory, `.${record.host}${SUFFIX}.${record.publisher.slice(0, 8)}`);
    await this.#do(async () => {
      const file = await inDirectory(this.#directory, () => open(fresh, "w", 0o644));
      try {
        await file.writeFile(`${JSON.stringify({ ...profile, ...record })}\n`);
        // Or a power cut may leave the new name with nothing behind it.
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(fresh, path);
    });
  }

  async read(host: string): Promise<StoredValue | undefined> {
    return this.#do(() => readValue(this.#path(host)));
  }

  async remove(host: string): Promise<void> {
    await this.#do(() => unlink(this.#path(host)).catch(unlessMissing));
  }

  async profile(): Promise<undefined> {}

  async *watch(signal: AbortSignal): AsyncIterable<StoreChange> {
    const known = new Map<string, string>();
    const bell = new Bell(this.#directory, signal);
    let isLost = true;
    while (!signal.aborted) {
      try {
        const looked = bell.rung();
        const changes = await this.#look(known, isLost);
        if (isLost) yield { kind: "begin", now: Date.now() };
        for (const change of changes) if (!signal.aborted) yield change;
        if (isLost) yield { kind: "settled" };
        isLost = false;
        await looked;
      } catch (error) {
        yield { kind: "trouble", message: said(error, this.#directory).message };
        isLost = true;
        known.clear();
        await bell.rung();
      }
    }
  }

  async close(): Promise<void> {}

  /** What has changed since the last look. */
  async #look(known: Map<string, string>, all: boolean): Promise<StoreChange[]> {
    if (all) known.clear();
    const names = (await readdir(this.#directory)).filter((name) => hostOf(name) !== undefined);
    const changes: StoreChange[] = [];
    for (let at = 0; at < names.length; at += SIDE_BY_SIDE) {
      const some = names.slice(at, at + SIDE_BY_SIDE);
      changes.push(...(await Promise.all(some.map((name) => this.#change(name, known)))).flat());
    }
    const there = new Set(names);
    for (const name of known.keys()) {
      if (there.has(name)) continue;
      known.delete(name);
      changes.push({ kind: "gone", host: hostOf(name) as string });
    }
    return changes;
  }

  async #change(name: string, known: Map<string, string>): Promise<StoreChange[]> {
    const path = join(this.#directory, name);
    const host = hostOf(name) as string;
    try {
      const { mtimeMs, size, ino } = await stat(path);
      const state = `${mtimeMs} ${size} ${ino}`;
      if (known.get(name) === state) return [];
      const value = await readValue(path);
      if (!value) return [];
      known.set(name, state);
      return [{ kind: "host", host, ...value }];
    } catch (error) {
      if (isMissing(error)) return [];
      // A file that nobody lets us read is a host that we know nothing of.
      if (known.get(name) === "unreadable") return [];
      known.set(name, "unreadable");
      return [{ kind: "host", host, text: "", stored: Date.now() }];
    }
  }

  #path(host: string): string {
    return join(this.#directory, `${host}${SUFFIX}`);
  }

  async #do<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw said(error, this.#directory);
    }
  }
}

/** Rings when the directory has changed, and at least once a second. */
class Bell {
  readonly #signal: AbortSignal;
  #ring: () => void = () => {};

  constructor(directory: string, signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#ring(), { once: true });
    try {
      const watcher = watchDirectory(directory, { signal, persistent: false }, () => this.#ring());
      watcher.on("error", () => {});
    } catch {
      // Not there yet, or no more watches to be had: the clock will do.
    }
  }

  rung(): Promise<void> {
    if (this.#signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, LOOK);
      this.#ring = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function hostOf(name: string): string | undefined {
  if (!name.endsWith(SUFFIX)) return undefined;
  const host = name.slice(0, -SUFFIX.length);
  return HOST_NAME.test(host) ? host : undefined;
}

/**
 * All hosts write there, so anything may have a host's name: a FIFO, which nobody waits for, a device without an end, or a
 * file that is no host's for its length. Of such there is no text.
 */
async function readValue(path: string): Promise<StoredValue | undefined> {
  // Before it is opened: that alone does something to some devices.
  const before = await stat(path).catch(unlessMissing);
  if (!before) return undefined;
  if (!before.isFile()) return { text: "", stored: before.mtimeMs };
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(unlessMissing);
  if (!file) return undefined;
  try {
    // Of the file that is read, not of the one that may have taken its name since.
    const status = await file.stat();
    const isRead = status.isFile() && status.size > 0 && status.size <= LONGEST;
    return { text: isRead ? await file.readFile("utf8") : "", stored: status.mtimeMs };
  } finally {
    await file.close();
  }
}

function unlessMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

function said(error: unknown, directory: string): StoreError {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT")
    return new StoreError(
      `there is no directory ${directory}: hosts that publish into it make it (iovad-fleet --to ${directory})`,
    );
  if (code === "EACCES" || code === "EPERM") return new StoreError(`this user may not use ${directory}`);
  return new StoreError(`${directory}: ${message}`);
}
