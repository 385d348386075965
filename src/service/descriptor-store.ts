import { loadFiles } from "../libc/files.ts";
import { Readiness } from "../libc/readiness.ts";
import { errnoName } from "../uapi/errno.ts";

/** Milliseconds after which systemd is taken not to answer. */
const PATIENCE = 5_000;

export interface StoreOptions {
  /** How many descriptors the store takes, if that is known. */
  readonly size?: number | undefined;
  /** Told, for the log, when what is kept may not be: a sentence. */
  readonly doubt?: (what: string) => void;
  readonly patience?: number;
}

/** Where notices go. */
export interface Notices {
  send(text: string, fds?: readonly number[]): void;
}

/**
 * Descriptors that systemd keeps open for the process that comes after this one (FileDescriptorStoreMax=). It says
 * nothing when it has no room.
 */
export class SystemdStore {
  readonly #notices: Notices;
  readonly #options: StoreOptions;
  readonly #files = loadFiles();
  readonly #names = new Set<string>();

  constructor(notices: Notices, options: StoreOptions = {}) {
    this.#notices = notices;
    this.#options = options;
  }

  /** `kept`: names of what the store has from an earlier life. */
  begin(kept: Iterable<string>): void {
    for (const name of kept) this.#names.add(name);
  }

  /** Keeps the open file; the descriptor stays the caller's. Names have no colon. */
  put(name: string, fd: number): void {
    this.#names.add(name);
    // Neither an iommufd nor a cdev tells of its end, and nothing is to leave the store by itself.
    this.#try(`FDSTORE=1\nFDPOLL=0\nFDNAME=${name}`, [fd]);
    const { size, doubt } = this.#options;
    if (size !== undefined && this.#names.size > size)
      doubt?.(`the descriptor store has room for ${size}: what is held beyond is lost in a restart`);
  }

  /** Resolves when the store has let go of whatever it has under the name: until then it would keep a device bound. */
  async remove(name: string): Promise<void> {
    if (!this.#names.delete(name)) return;
    this.#try(`FDSTOREREMOVE=1\nFDNAME=${name}`);
    await this.#barrier();
  }

  /** Resolves when systemd has handled all that was sent before: it closes the pipe that comes alone with BARRIER=1. */
  async #barrier(): Promise<void> {
    const ends = Buffer.alloc(8);
    const result = this.#files.pipe(ends);
    if (result < 0) return this.#doubt(`pipe2: ${errnoName(-result)}`);
    const [read, write] = [ends.readInt32LE(0), ends.readInt32LE(4)];
    try {
      this.#try("BARRIER=1", [write]);
      this.#files.close(write);
      await this.#hungUp(read);
    } catch (error) {
      this.#doubt((error as Error).message);
    } finally {
      this.#files.close(read);
    }
  }

  #hungUp(fd: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(patience);
        readiness.close();
        resolve();
      };
      const readiness = new Readiness(fd, done);
      const patience = setTimeout(() => {
        this.#doubt("systemd does not answer: it may keep open what was given back");
        done();
      }, this.#options.patience ?? PATIENCE);
    });
  }

  #try(text: string, fds: readonly number[] = []): void {
    try {
      this.#notices.send(text, fds);
    } catch (error) {
      this.#doubt((error as Error).message);
    }
  }

  #doubt(what: string): void {
    this.#options.doubt?.(what);
  }
}
