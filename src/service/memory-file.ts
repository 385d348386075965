import { fstatSync, ftruncateSync, readSync, writeSync } from "node:fs";
import { lazily } from "../lazily.ts";
import { loadFiles } from "../libc/files.ts";
import { MappedWindow } from "../libc/mapped-window.ts";
import { errnoName } from "../uapi/errno.ts";
import type { JournalStorage } from "./journal-file.ts";
import { HEAD, type NewRecord } from "./journal-records.ts";

/** Bytes that are memory at a time: a page of the largest there are. A start makes them, and reads what the last life has left. */
const WINDOW = 64 * 1024;

/**
 * Bytes that are looked at, or wiped, at a time. Half of a file are zeros, as a rule, and to get as much memory from the system
 * as they take costs ten times as much as to read or to write them.
 */
const SOME = 16 * 1024;
const zeros = lazily(() => Buffer.alloc(SOME));

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

  /** All there is in it, but for blocks of zeros at its end: no record ends in so many, for it is text. */
  read(): Buffer {
    const pieces: Buffer[] = [];
    const some = Buffer.alloc(SOME);
    let blank = 0;
    for (let at = 0, count = -1; count !== 0; at += count) {
      count = readSync(this.fd, some, 0, SOME, at);
      if (some.compare(zeros(), 0, count, 0, count) === 0) {
        blank += count;
        continue;
      }
      pieces.push(Buffer.alloc(blank), Buffer.from(some.subarray(0, count)));
      blank = 0;
    }
    return Buffer.concat(pieces);
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
    if (this.#window && this.#size >= this.#end) this.#advance(this.#window);
    return length;
  }

  /** What is memory is wiped and used again: to give pages back and get others takes longer than all that is written there. */
  clear(): void {
    const size = this.#size;
    this.#size = 0;
    if (!this.#window || this.#end === 0 || this.#start > 0) {
      this.#cut();
      return;
    }
    const { bytes } = this.#window;
    // Its beginning before all else, for what is left is then no record, however far the wiping gets.
    bytes.fill(0, 0, HEAD);
    bytes.fill(0, HEAD, size);
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
      writeZeros(this.fd, this.#size, start + WINDOW);
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

function writeZeros(fd: number, from: number, to: number): void {
  for (let at = from; at < to; at += SOME) writeAll(fd, zeros().subarray(0, Math.min(SOME, to - at)), at);
}

function writeAll(fd: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}
