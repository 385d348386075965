/**
 * What outlives this process of what the kernel cannot be asked: entries by key, each a text. Written before a call begins
 * that changes something, and when it has ended; never for a question that the cache answers.
 */
export interface Journal {
  /** Whether an earlier life has left it. */
  readonly isInherited: boolean;
  /** Why what an earlier life has left could not be read; undefined: it could, or there is none. */
  readonly problem?: string | undefined;
  /** All that is kept now, in the order in which they were first put. At the start: what an earlier life has left. */
  readonly entries: ReadonlyMap<string, string>;
  /** Sets an entry, or with null takes it out. It is kept when this returns. */
  put(key: string, text: string | null): void;
  /**
   * What is put meanwhile is kept in one piece or not at all. Where anything is, what is put behind goes with it: it may be
   * another part of the same.
   */
  together<T>(write: () => T): T;
  /**
   * Calls `write` with the next flush(), at the latest with the next turn of the loop; all that is written then is kept in one
   * piece. What is put before that is kept before it.
   */
  behind(write: () => void): void;
  /** Keeps what is to be written behind. Who passes on what that tells of sees to it before. */
  flush(): void;
}

/** Where nobody supervises the process nothing outlives it. */
export const NO_JOURNAL: Journal = {
  isInherited: false,
  entries: new Map(),
  put() {},
  together: (write) => write(),
  behind() {},
  flush() {},
};

/** Where open files outlive this process. */
export interface DescriptorStore {
  /** Those of an earlier life. They are this process's to close, and in the store until they are removed. */
  readonly inherited: readonly { readonly name: string; readonly fd: number }[];
  /** Keeps the open file under the name; the descriptor stays the caller's. It is kept when this returns. */
  put(name: string, fd: number): void;
  /** Resolves when nothing is kept under the name any more. Never rejects. */
  remove(name: string): Promise<void>;
}

export const NO_STORE: DescriptorStore = { inherited: [], put() {}, remove: async () => {} };

/** The name of a context's iommufd in the store. */
export const contextFile = (context: string) => `context-${context}`;
/** The name of a held device's cdev there: names may have no colon. */
export const deviceFile = (device: string) => `device-${encodeURIComponent(device)}`;
