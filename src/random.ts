import { closeSync, openSync, readSync } from "node:fs";

/** So many random bytes, of the kernel (urandom(4)). node:crypto would have the same ones, for a tenth of the daemon's start. */
export function randomBytes(count: number): Buffer {
  const fd = openSync("/dev/urandom", "r");
  try {
    const bytes = Buffer.alloc(count);
    // Up to 256 bytes come whole.
    readSync(fd, bytes);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

/** A UUID of random bits, version 4 (RFC 9562, section 5.4). */
export function randomUuid(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
