import { fstatSync, ftruncateSync, readSync, writeSync } from "node:fs";
import { loadFiles } from "../libc/files.ts";
import { errnoName } from "../uapi/errno.ts";
import type { JournalStorage } from "./journal-file.ts";

/** A file without a name, which is there for as long as somebody has it open: the store, when this process has died. */
export class MemoryFile implements JournalStorage {
  readonly fd: number;
  #size: number;

  constructor(fd: number) {
    this.fd = fd;
    this.#size = fstatSync(fd).size;
  }

  /** Throws Error. */
  static create(name: string): MemoryFile {
    const fd = loadFiles().memfd(name);
    if (fd < 0) throw new Error(`memfd_create: ${errnoName(-fd)}`);
    return new MemoryFile(fd);
  }

  read(): Buffer {
    const bytes = Buffer.alloc(this.#size);
    let length = 0;
    while (length < bytes.length) {
      const count = readSync(this.fd, bytes, length, bytes.length - length, length);
      if (count === 0) break;
      length += count;
    }
    return bytes.subarray(0, length);
  }

  /** All of it or, when it throws, nothing: a reader stops at half a record. */
  append(bytes: Buffer): void {
    try {
      for (let done = 0; done < bytes.length; )
        done += writeSync(this.fd, bytes, done, bytes.length - done, this.#size + done);
      this.#size += bytes.length;
    } catch (error) {
      ftruncateSync(this.fd, this.#size);
      throw error;
    }
  }

  clear(): void {
    ftruncateSync(this.fd, 0);
    this.#size = 0;
  }
}
