import type { Pointer } from "../kernel.ts";
import { Errno } from "./errno.ts";

/** The largest that a host has. */
const PAGE_SIZE = 65536n;
/** Where the first buffer appears to lie; any address that no real mistake produces would do. */
const FIRST_ADDRESS = 0x7f00_0000_0000n;

interface Mapping {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

/**
 * The caller's memory during one ioctl: its argument and what that points to, each at an address of its own with
 * nothing mapped around it. Like the real adapter, it writes the addresses into the argument's pointer words.
 */
export class UserMemory {
  /** Where the argument lies; or the argument itself, when that is a number. */
  readonly argument: bigint;
  readonly #mappings: readonly Mapping[];

  constructor(argument: Uint8Array | number, pointers: readonly Pointer[]) {
    if (typeof argument === "number") {
      this.argument = BigInt(argument);
      this.#mappings = [];
      return;
    }
    this.argument = FIRST_ADDRESS;
    const view = new DataView(argument.buffer, argument.byteOffset, argument.byteLength);
    const mappings: Mapping[] = [{ address: FIRST_ADDRESS, bytes: argument }];
    let free = FIRST_ADDRESS + PAGE_SIZE + BigInt(argument.length);
    for (const { offset, target } of pointers) {
      // Page-aligned, as large allocations are, with a page between any two.
      const address = (free / PAGE_SIZE + 1n) * PAGE_SIZE;
      view.setBigUint64(offset, address, true);
      mappings.push({ address, bytes: target });
      free = address + PAGE_SIZE + BigInt(target.length);
    }
    this.#mappings = mappings;
  }

  /** copy_from_user: the memory itself, not a copy. Throws EFAULT. */
  read(address: bigint, length: number): Uint8Array {
    if (length === 0) return new Uint8Array();
    for (const { address: start, bytes } of this.#mappings) {
      const offset = address - start;
      if (offset >= 0n && offset + BigInt(length) <= bytes.length) {
        return bytes.subarray(Number(offset), Number(offset) + length);
      }
    }
    throw new Errno("EFAULT");
  }

  /** copy_to_user. Throws EFAULT. */
  write(address: bigint, bytes: Uint8Array): void {
    this.read(address, bytes.length).set(bytes);
  }

  /** One 32-bit word. Throws EFAULT. */
  readU32(address: bigint): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.read(address, 4);
    return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
  }

  /** One 32-bit word. Throws EFAULT. */
  writeU32(address: bigint, value: number): void {
    this.write(address, Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24));
  }

  /**
   * A kernel struct of `size` bytes from a caller whose version of it has `userSize`: a shorter one is extended
   * with zeros, a longer one must be zero beyond (`include/linux/uaccess.h: copy_struct_from_user`).
   * Throws E2BIG, EFAULT.
   */
  copyStruct(size: number, userSize: number): Buffer {
    const struct = Buffer.alloc(size);
    if (userSize > size) {
      const tail = this.read(this.argument + BigInt(size), userSize - size);
      if (tail.some((byte) => byte !== 0)) throw new Errno("E2BIG");
    }
    struct.set(this.read(this.argument, Math.min(size, userSize)));
    return struct;
  }
}
