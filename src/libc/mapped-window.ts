import { koffi } from "./koffi.ts";
import { loadLibrary } from "./library.ts";

/** Of `asm-generic/mman-common.h` and `linux/mman.h`, as x86, arm64, riscv and loongarch have them. */
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_FIXED = 0x10;
/** All pages at once: each that is touched for the first time otherwise costs a fault. */
const MAP_POPULATE = 0x8000;

/** For numbers: Buffer takes twenty times as long to write one. */
export const viewOf = ({ buffer, byteOffset, length }: Buffer) => new DataView(buffer, byteOffset, length);

/**
 * Part of a file as memory: what is written to it is in the file at once, whatever becomes of this process. It may be moved,
 * and is never unmapped.
 */
export class MappedWindow {
  readonly #fd: number;
  readonly #size: number;
  readonly #mmap = loadLibrary()(
    "long mmap(void *address, size_t length, int protection, int flags, int fd, long offset)",
  );
  #address: bigint | null = null;
  #bytes: Buffer = Buffer.alloc(0);
  #view = viewOf(this.#bytes);

  /** `size`: in bytes, a multiple of the page size. */
  constructor(fd: number, size: number) {
    this.#fd = fd;
    this.#size = size;
  }

  /** Of the file from where it was moved to. To touch what is behind the file's end is the end of the process (SIGBUS). */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Of the same bytes, for numbers. */
  get view(): DataView {
    return this.#view;
  }

  /**
   * `offset`: in the file, a multiple of the page size. Returns whether the window is there; if not, it is nowhere, and of
   * no use any more.
   */
  move(offset: number): boolean {
    const flags = MAP_SHARED | MAP_POPULATE | (this.#address === null ? 0 : MAP_FIXED);
    const result = this.#mmap(this.#address, this.#size, PROT_READ_WRITE, flags, this.#fd, offset);
    if (result < 0) return false;
    try {
      // Where it is stays what it is, and so does the one array that V8 may have for it.
      if (this.#address === null) {
        this.#bytes = Buffer.from(koffi().view(BigInt(result), this.#size));
        this.#view = viewOf(this.#bytes);
      }
    } catch {
      // Not every V8 has arrays of memory that it has not allocated.
      return false;
    }
    this.#address = BigInt(result);
    return true;
  }
}
