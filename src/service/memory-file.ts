import { fstatSync, ftruncateSync, readSync, writeSync } from "node:fs";
import { loadFiles } from "../libc/files.ts";
import { MappedWindow } from "../libc/mapped-window.ts";
import { errnoName } from "../uapi/errno.ts";
import type { JournalStorage } from "./journal-file.ts";
import type { NewRecord } from "./journal-records.ts";

/** Bytes that are memory at a time: of pages, on every system. */
const WINDOW = 256 * 1024;

/**
 * A file without a name, which is there for as long as somebody has it open: the store, when this process has died. What is
 * small is written to memory that is the file's, which takes no system call. Zeros may follow what was written.
 */
export class MemoryFile implements JournalStorage {
  readonly fd: number;
  /** Bytes that were written. */
  #size: number;
  /** Where the window is in the file. None: both are 0. */
  #start = 0;
  #end = 0;
  /** Undefined where the file cannot be memory: then each record takes a system call. */
  #window: MappedWindow | undefined;

  constructor(fd: number) {
    this.fd = fd;
    this.#size = fstatSync(fd).size;
    this.#window = new MappedWindow(fd, WINDOW);
  }

  /** Throws Error. */
  static create(name: string): MemoryFile {
    const fd = loadFiles().memfd(name);
    if (fd < 0) throw new Error(`memfd_create: ${errnoName(-fd)}`);
    return new MemoryFile(fd);
  }

  /** All there is in it. */
  read(): Buffer {
    const bytes = Buffer.alloc(fstatSync(this.fd).size);
    let length = 0;
    while (length < bytes.length) {
      const count = readSync(this.fd, bytes, length, bytes.length - length, length);
      if (count === 0) break;
      length += count;
    }
    return bytes.subarray(0, length);
  }

  append(record: NewRecord): number {
    if (this.#window && this.#size + record.most <= this.#end) {
      const { bytes, view } = this.#window;
      const length = record.write(bytes, this.#size - this.#start, view);
      this.#size += length;
      return length;
    }
    const bytes = Buffer.allocUnsafe(record.size);
    const length = record.write(bytes, 0);
    this.#write(bytes);
    if (this.#window) this.#advance(this.#window);
    return length;
  }

  clear(): void {
    this.#size = 0;
    this.#cut();
  }

  #write(bytes: Buffer): void {
    try {
      writeAll(this.fd, bytes, this.#size);
      this.#size += bytes.length;
    } catch (error) {
      this.#cut();
      throw error;
    }
  }

  /** Moves the window to where the next record comes. */
  #advance(window: MappedWindow): void {
    const start = this.#size - (this.#size % WINDOW);
    try {
      writeAll(this.fd, Buffer.alloc(start + WINDOW - this.#size), this.#size);
      if (!window.move(start)) throw new Error("it cannot be mapped");
      this.#start = start;
      this.#end = start + WINDOW;
    } catch {
      // Without room, or without maps: not tried again for each record.
      this.#window = undefined;
      this.#cut();
    }
  }

  /** Leaves what was written: behind the end of the file there is no memory. */
  #cut(): void {
    this.#start = this.#end = 0;
    ftruncateSync(this.fd, this.#size);
  }
}

function writeAll(fd: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}
