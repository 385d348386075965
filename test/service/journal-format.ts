import { crc32 } from "node:zlib";

/** A record of a journal's file. */
export function recordOf(text: string): Buffer<ArrayBuffer> {
  const body = Buffer.from(text);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(body.length, 0);
  head.writeUInt32LE(crc32(body), 4);
  return Buffer.concat([head, body]);
}

/** The file of a journal, as a program of another format would have begun it. */
export function ofFormat(format: number, file: Buffer): Buffer<ArrayBuffer> {
  const rest = file.subarray(8 + file.readUInt32LE(0));
  return Buffer.concat([recordOf(JSON.stringify({ format, number: 1 })), rest]);
}
