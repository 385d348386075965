import fc from "fast-check";
import { expect, it } from "vitest";
import { Lines } from "../../src/client/lines.ts";

/** What a server sends: lines, each of which may carry descriptors, as one message then. */
const messages = fc.array(
  fc.record({
    text: fc.string({ minLength: 1, maxLength: 12 }).map((text) => text.replace(/\s/g, "_")),
    fds: fc.oneof(fc.constant<number[]>([]), fc.array(fc.nat(1000), { minLength: 1, maxLength: 3 })),
  }),
  { maxLength: 12 },
);

interface Chunk {
  bytes: Buffer;
  fds: number[];
}

/**
 * As unix_stream_read_generic reads: on over the end of messages until there is no room, or one with descriptors has
 * been begun. `rooms`: how much each call has room for.
 */
function received(sent: { text: string; fds: number[] }[], rooms: () => number): Chunk[] {
  const chunks: Chunk[] = [];
  const queue = sent.map(({ text, fds }) => ({ bytes: Buffer.from(`${text}\n`), fds }));
  while (queue.length > 0) {
    const chunk: Chunk = { bytes: Buffer.alloc(0), fds: [] };
    let room = rooms();
    for (let head = queue[0]; head && room > 0 && chunk.fds.length === 0; head = queue[0]) {
      const piece = head.bytes.subarray(0, room);
      chunk.bytes = Buffer.concat([chunk.bytes, piece]);
      chunk.fds = head.fds;
      head.fds = [];
      head.bytes = head.bytes.subarray(piece.length);
      room -= piece.length;
      if (head.bytes.length > 0) break;
      queue.shift();
    }
    chunks.push(chunk);
  }
  return chunks;
}

it("each line has the descriptors that were sent with it, however the kernel cuts and joins messages", () => {
  fc.assert(
    fc.property(messages, fc.infiniteStream(fc.integer({ min: 1, max: 40 })), (sent, rooms) => {
      const lines = new Lines(() => 1000);
      const got = received(sent, () => rooms.next().value as number).flatMap(({ bytes, fds }) =>
        lines.push(bytes, fds),
      );
      expect(got).toEqual(sent.map(({ text, fds }) => ({ line: text, fds })));
      expect(lines.leftOver()).toEqual([]);
    }),
  );
});

it("the descriptors of a line that has not ended are left over", () => {
  const lines = new Lines(() => 1000);
  expect(lines.push(Buffer.from("before\nwi"), [7])).toEqual([{ line: "before", fds: [] }]);
  expect(lines.leftOver()).toEqual([7]);
});
