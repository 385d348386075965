import { crc32 } from "node:zlib";

/** The file of a journal, as a program of another format would have begun it. */
export function ofFormat(format: number, file: Buffer): Buffer<ArrayBuffer> {
  const title = Buffer.from(JSON.stringify({ format, number: 1 }));
  const head = Buffer.alloc(8);
  head.writeUInt32LE(title.length, 0);
  head.writeUInt32LE(crc32(title), 4);
  const rest = file.subarray(8 + file.readUInt32LE(0));
  return Buffer.concat([head, title, rest]);
}
