import assert from "node:assert/strict";
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, it } from "vitest";
import { JournalFile } from "../../src/service/journal-file.ts";
import { contentOf, inWords, NewRecord } from "../../src/service/journal-records.ts";
import { MemoryFile } from "../../src/service/memory-file.ts";
import { Memory } from "../host/survival/world.ts";
import { runs } from "../runs.ts";
import { ofFormat, recordOf } from "./journal-format.ts";

function storages(): [Memory, Memory] {
  return [new Memory(), new Memory()];
}

const copyOf = (pair: readonly [Memory, Memory]): [Memory, Memory] => {
  const copies = storages();
  for (const [i, copy] of copies.entries()) copy.bytes = Buffer.from(pair[i as 0 | 1].bytes);
  return copies;
};
const inUse = (pair: readonly Memory[]) => pair.find(({ bytes }) => bytes.length > 0) as Memory;

describe("the journal", () => {
  it("is empty at first, and then what an earlier life has left, in its order", () => {
    const pair = storages();
    const first = new JournalFile(pair);
    assert.equal(first.isInherited, false);
    for (const key of ["b", "a", "c"]) first.put(key, `of ${key}`);
    first.put("c", null);
    first.put("b", "another");
    const second = new JournalFile(pair);
    assert.equal(second.isInherited, true);
    assert.deepEqual(
      [...second.entries],
      [
        ["b", "another"],
        ["a", "of a"],
      ],
    );
  });

  it("takes what is put together in one piece", () => {
    const pair = storages();
    const journal = new JournalFile(pair);
    const before = inUse(pair).bytes.length;
    let during = 0;
    journal.together(() => {
      journal.put("a", "1");
      journal.together(() => journal.put("b", "2"));
      during = inUse(pair).bytes.length;
    });
    assert.equal(during, before);
    assert.deepEqual(
      [...new JournalFile(pair).entries],
      [
        ["a", "1"],
        ["b", "2"],
      ],
    );
  });

  describe("what is put behind", () => {
    const left = (pair: readonly [Memory, Memory]) => [...new JournalFile(copyOf(pair)).entries];

    it("is kept with the next flush, in one piece", () => {
      const pair = storages();
      const journal = new JournalFile(pair);
      journal.put("a", "1");
      journal.behind(() => journal.put("b", "2"));
      journal.behind(() => {
        journal.together(() => journal.put("a", null));
        journal.put("c", "3");
      });
      journal.put("d", "4");
      const now = [
        ["a", "1"],
        ["d", "4"],
      ];
      assert.deepEqual([left(pair), [...journal.entries]], [now, now]);
      const before = inUse(pair).bytes.length;
      journal.flush();
      const all = inUse(pair).bytes;
      const then = [
        ["d", "4"],
        ["b", "2"],
        ["c", "3"],
      ];
      assert.deepEqual([left(pair), [...journal.entries]], [then, then]);
      for (let length = before; length < all.length; length++) {
        const torn = storages();
        torn[0].bytes = all.subarray(0, length);
        assert.deepEqual(new Map(new JournalFile(torn).entries).get("a"), "1");
      }
      journal.flush();
      assert.equal(inUse(pair).bytes.length, all.length);
    });

    it("is part of what is put together, from a flush there on", () => {
      const pair = storages();
      const journal = new JournalFile(pair);
      journal.behind(() => journal.put("a", "1"));
      journal.together(() => {
        journal.put("a", "0");
        journal.flush();
        journal.put("a", "2");
        assert.deepEqual(left(pair), []);
      });
      assert.deepEqual(left(pair), [["a", "2"]]);
    });

    it("is not lost when the other file is begun meanwhile", () => {
      const pair = storages();
      const journal = new JournalFile(pair);
      journal.behind(() => journal.put("a", "behind"));
      const first = inUse(pair);
      for (let i = 0; inUse(pair) === first; i++) journal.put("long", String(i).repeat(20_000));
      assert.equal(new Map(left(pair)).get("a"), undefined);
      journal.flush();
      assert.equal(new Map(left(pair)).get("a"), "behind");
    });
  });

  it("keeps what was put together also when its writer fails", () => {
    const pair = storages();
    const journal = new JournalFile(pair);
    const fail = () => {
      journal.put("a", "1");
      throw new Error("no");
    };
    assert.throws(() => journal.together(fail), /no/);
    assert.deepEqual([...new JournalFile(pair).entries], [["a", "1"]]);
  });

  it("keeps what there was no room for as soon as there is some, in either file", () => {
    for (const inOther of [true, false]) {
      const pair = storages();
      const journal = new JournalFile(pair);
      journal.put("a", "1");
      const full = inOther ? [inUse(pair)] : pair;
      for (const memory of full)
        memory.append = () => {
          throw new Error("ENOSPC");
        };
      journal.behind(() => journal.put("a", null));
      assert.throws(() => journal.flush(), /ENOSPC/);
      if (!inOther) assert.throws(() => journal.put("b", "2"), /ENOSPC/);
      assert.deepEqual([...new JournalFile(copyOf(pair)).entries], [["a", "1"]]);
      if (!inOther) for (const memory of full) memory.append = Memory.prototype.append;
      journal.put("b", "3");
      assert.deepEqual([...new JournalFile(copyOf(pair)).entries], [["b", "3"]]);
    }
  });

  it("leaves out a record that is cut short, wherever that is, and says so", () => {
    const pair = storages();
    const journal = new JournalFile(pair);
    journal.put("a", "1");
    const { bytes } = inUse(pair);
    journal.put("b", "2");
    const whole = inUse(pair).bytes;
    for (let length = bytes.length + 1; length < whole.length; length++) {
      const torn = storages();
      torn[0].bytes = whole.subarray(0, length);
      const read = new JournalFile(torn);
      assert.deepEqual([[...read.entries], read.isTorn], [[["a", "1"]], true]);
      // What follows is not lost behind what is cut short.
      read.put("c", "3");
      assert.deepEqual([...new JournalFile(torn).entries.keys()], ["a", "c"]);
    }
  });

  it("leaves out a record with a bit that is wrong, whichever", () => {
    const pair = storages();
    const journal = new JournalFile(pair);
    journal.put("a", "1");
    const start = inUse(pair).bytes.length;
    journal.put("b", "2");
    const whole = inUse(pair).bytes;
    for (let bit = start * 8; bit < whole.length * 8; bit++) {
      const broken = storages();
      broken[0].bytes = Buffer.from(whole);
      broken[0].bytes[bit >> 3] = (whole[bit >> 3] as number) ^ (1 << (bit & 7));
      const read = new JournalFile(broken);
      assert.deepEqual([[...read.entries], read.isTorn], [[["a", "1"]], true]);
    }
  });

  it("with a hole in it ends there, wherever that is", () => {
    const pair = storages();
    const journal = new JournalFile(pair);
    journal.put("a", "1");
    const whole = inUse(pair).bytes;
    for (const at of [0, whole.length]) {
      const holed = storages();
      holed[0].bytes = Buffer.concat([whole.subarray(0, at), Buffer.alloc(64), Buffer.from("x")]);
      const read = new JournalFile(holed);
      assert.deepEqual([[...read.entries], read.isTorn], at === 0 ? [[], false] : [[["a", "1"]], true]);
    }
  });

  it("of a format that is not known is not read, and begins again", () => {
    const journal = storages();
    const other = new JournalFile(journal);
    other.put("a", "1");
    const storage = inUse(journal);
    storage.bytes = ofFormat(9, storage.bytes);
    const read = new JournalFile(journal);
    assert.match(read.problem ?? "", /format 9/);
    assert.deepEqual([[...read.entries], read.isInherited], [[], false]);
    assert.equal(new JournalFile(journal).problem, undefined);
  });

  it("of the format before is read, and goes on in this one", () => {
    const pair = storages();
    const put = (...pairs: [string, string | null][]) => recordOf(JSON.stringify(pairs));
    const title = recordOf(JSON.stringify({ format: 1, number: 7 }));
    pair[1].bytes = Buffer.concat([title, put(["a", '"é"'], ["b", "2"]), put(["b", null]), put(["c", ""])]);
    const kept = [
      ["a", '"é"'],
      ["c", ""],
    ];
    assert.deepEqual([...new JournalFile(pair).entries], kept);
    assert.match(inUse(pair).bytes.toString(), /"format":2,"number":8/);
    assert.deepEqual([...new JournalFile(pair).entries], kept);
  });

  it("is refused by programs of the format before, and breaks none of them", () => {
    const files = [MemoryFile.create("a"), MemoryFile.create("b")] as const;
    const journal = new JournalFile(files);
    for (const key of ["a", "b"]) journal.put(key, key.repeat(1000));
    const read = files.map((file) => asOfFormat1(file.read()));
    for (const { fd } of files) closeSync(fd);
    // They have looked at the format when there was anything behind the title.
    assert.deepEqual(read, [[], [{ format: 2, number: 1 }, []]]);
  });

  it("is what was put, whatever it was, and whichever write was the last that was whole", () => {
    const put = fc.record({
      key: fc.constantFrom("a", "b", "c", "__proto__"),
      text: fc.option(fc.string({ maxLength: 20_000, minLength: 0 }), { nil: null }),
      isTogether: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(put, { maxLength: 60 }), fc.nat(5), (puts, lives) => {
        const pair = storages();
        let journal = new JournalFile(pair);
        const model = new Map<string, string>();
        for (const [i, { key, text, isTogether }] of puts.entries()) {
          const write = () => journal.put(key, text === null ? null : text.repeat(400));
          if (isTogether) journal.together(write);
          else write();
          if (text === null) model.delete(key);
          else model.set(key, text.repeat(400));
          if (lives > 0 && i % lives === 0) journal = new JournalFile(pair);
          assert.deepEqual([...new JournalFile([copy(pair[0]), copy(pair[1])]).entries], [...model]);
        }
      }),
      { numRuns: runs(10, 200) },
    );
  });

  it("grows no further than a few times of what it keeps", () => {
    const pair = storages();
    const journal = new JournalFile(pair);
    let most = 0;
    for (let i = 0; i < 3000; i++) {
      journal.put("a", "x".repeat(1000));
      most = Math.max(most, pair[0].bytes.length + pair[1].bytes.length);
    }
    assert(most < 600 * 1024, `${most} bytes`);
  });

  it("in files is what was put, however large, and when less is there to be read than a larger one has left", () => {
    // From within a window to several of them, and what fits exactly.
    const sizes = fc.oneof(fc.nat(2000), fc.nat(90_000), fc.integer({ min: 200_000, max: 700_000 }));
    const puts = fc.array(fc.record({ key: fc.constantFrom("a", "b", "c"), size: sizes }), { maxLength: 40 });
    fc.assert(
      fc.property(puts, (puts) => {
        const files = [MemoryFile.create("a"), MemoryFile.create("b")] as const;
        const journal = new JournalFile(files);
        const model = new Map<string, string>();
        for (const { key, size } of puts) {
          const text = "é".repeat(size % 3).padEnd(size, key);
          journal.put(key, text);
          model.set(key, text);
        }
        const again = files.map(({ fd }) => new MemoryFile(fd)) as [MemoryFile, MemoryFile];
        const read = new JournalFile(again);
        for (const { fd } of files) closeSync(fd);
        assert.deepEqual([[...read.entries], read.isTorn], [[...model], false]);
      }),
      { numRuns: runs(10, 200) },
    );
  });

  it("is wiped, and written in the same place again, when it has grown, and nothing is left of what was there", () => {
    const files = [MemoryFile.create("a"), MemoryFile.create("b")] as const;
    const journal = new JournalFile(files);
    const texts = Array.from({ length: 1000 }, (_, i) => `${i} `.padEnd(900 + (i % 200), "x"));
    for (const text of texts) journal.put("a", text);
    const sizes = files.map(({ fd }) => fstatSync(fd).size);
    assert(Math.max(...sizes) <= 64 * 1024, `${sizes} bytes`);
    const again = files.map(({ fd }) => new MemoryFile(fd)) as [MemoryFile, MemoryFile];
    const read = new JournalFile(again);
    assert.deepEqual([[...read.entries], read.isTorn], [[["a", texts.at(-1)]], false]);
    for (const { fd } of files) closeSync(fd);
  });

  it("has no records in a file whose wiping has only begun", () => {
    const file = MemoryFile.create("a");
    file.append(NewRecord.ofTitle({ format: 2, number: 1 }));
    file.append(NewRecord.ofWords(inWords("a", "1")));
    writeSync(file.fd, Buffer.alloc(8), 0, 8, 0);
    assert.deepEqual(contentOf(file.read()).records, []);
    closeSync(file.fd);
  });

  it("has everything where it stands, however many zeros are before it", () => {
    const file = MemoryFile.create("a");
    for (const at of [3, 40_000, 200_000, 200_001]) writeSync(file.fd, "x", at);
    const bytes = file.read();
    assert.deepEqual(
      [...bytes.entries()].flatMap(([at, byte]) => (byte === 0 ? [] : [at])),
      [3, 40_000, 200_000, 200_001],
    );
    closeSync(file.fd);
  });

  it("is kept in a file that cannot be memory, too", () => {
    const directory = mkdtempSync(join(tmpdir(), "iovad-journal-"));
    const path = join(directory, "a");
    const file = new MemoryFile(openSync(path, "w"));
    const title = NewRecord.ofTitle({ format: 2, number: 1 });
    const entries = ["a", "b"].map((key) => NewRecord.ofWords(inWords(key, "1")));
    const length = [title, ...entries].reduce((sum, record) => sum + file.append(record), 0);
    closeSync(file.fd);
    const bytes = readFileSync(path);
    rmSync(directory, { recursive: true });
    assert.deepEqual([bytes.length, contentOf(bytes).records.length], [length, 2]);
  });

  it("is in files that have no name and outlive the descriptor that wrote them", () => {
    const files = [MemoryFile.create("a"), MemoryFile.create("b")] as const;
    new JournalFile(files).put("a", "1");
    const again = files.map(({ fd }) => new MemoryFile(fd)) as [MemoryFile, MemoryFile];
    assert.deepEqual([...new JournalFile(again).entries], [["a", "1"]]);
    for (const { fd } of files) closeSync(fd);
  });
});

/** What programs of the first format parse of a file, before they look at anything. */
function asOfFormat1(bytes: Buffer): unknown[] {
  const records: unknown[] = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (body.length < length || crc32(body) !== bytes.readUInt32LE(at + 4)) break;
    records.push(JSON.parse(body.toString()));
    at += 8 + length;
  }
  return records;
}

function copy({ bytes }: Memory): Memory {
  const other = new Memory();
  other.bytes = bytes;
  return other;
}
