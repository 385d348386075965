import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { U64_MAX } from "../../src/ranges/address.ts";
import {
  address,
  context,
  contextName,
  device,
  deviceName,
  ioasId,
  range,
  rangeList,
  size,
} from "../../src/rpc/inputs.ts";
import { METHODS } from "../../src/rpc/methods/index.ts";
import { toWireRange, wireAddress, wireRange } from "../../src/rpc/wire.ts";

const u64 = fc.bigInt({ min: 0n, max: U64_MAX });

describe("an address", () => {
  it.each([
    ["0x0", 0n],
    ["0xfee00000", 0xfee00000n],
    ["0xFEE00000", 0xfee00000n],
    ["0XFEE00000", 0xfee00000n],
    ["0x00000000000000000000fee00000", 0xfee00000n],
    ["0xffffffffffffffff", U64_MAX],
    [0, 0n],
    [4096, 4096n],
    [Number.MAX_SAFE_INTEGER, 2n ** 53n - 1n],
  ])("may be written %j", (given, meant) => {
    expect(address().parse(given)).toBe(meant);
  });

  it.each([
    "",
    "0x",
    "fee00000",
    "12",
    " 0x1",
    "0x1 ",
    "0x1\n",
    "-0x1",
    "0x10000000000000000",
    "0x1g",
    "0x1_0",
    -1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    null,
    true,
    [],
    {},
    ["0x1"],
  ])("may not be written %j", (given) => {
    expect(address().safeParse(given).success).toBe(false);
  });

  it("as a number above 2^53-1 is refused for the bits it has lost", () => {
    expect(address().safeParse(2 ** 53).error?.message).toContain("already lost bits");
    expect(address().safeParse(JSON.parse("18446744073709551615")).error?.message).toContain(
      "already lost bits",
    );
  });

  it("comes back from every way of writing it", () => {
    const written = fc.tuple(u64, fc.nat({ max: 40 }), fc.boolean());
    fc.assert(
      fc.property(written, ([value, zeros, upper]) => {
        const digits = value.toString(16);
        const text = `0x${"0".repeat(zeros)}${upper ? digits.toUpperCase() : digits}`;
        expect(address().parse(text)).toBe(value);
      }),
    );
  });

  it("of a megabyte of zeros is read, and refused when it ends badly, in no time that depends on both", () => {
    const zeros = "0".repeat(1_000_000);
    expect(address().parse(`0x${zeros}1`)).toBe(1n);
    expect(address().safeParse(`0x${zeros}g`).success).toBe(false);
  });
});

describe("a size", () => {
  it.each([
    ["1536G", 1536n << 30n],
    ["1.5T", 1536n << 30n],
    ["512m", 512n << 20n],
    ["0x200000", 0x200000n],
    ["0x1E", 0x1en],
    [4096, 4096n],
  ])("may be written %j", (given, meant) => {
    expect(size().parse(given)).toBe(meant);
  });

  it("may be written as any address", () => {
    fc.assert(fc.property(u64, (value) => size().parse(`0x${value.toString(16)}`) === value));
  });

  it.each([
    ["4096", "without one QEMU means bytes here and megabytes there"],
    ["1.5", "without one QEMU means bytes here and megabytes there"],
    ["16E", "expected a size within 64 bits"],
    ["1.5b", "expected a whole number of bytes"],
    ["8GiB", "expected a size of at most 64 bits, as in"],
    ["0x1G", "expected a size of at most 64 bits, as in"],
    ["", "expected a size of at most 64 bits, as in"],
    [-1, "expected a size of at most 64 bits, as in"],
    [4096.5, "or an integer of bytes from 0 to 2^53-1"],
    [true, "expected a size of at most 64 bits, as in"],
    [2 ** 53, "already lost bits"],
    [null, "expected a size of at most 64 bits, as in"],
    [undefined, "this member is required"],
  ])("may not be written %j", (given, message) => {
    expect(size().safeParse(given).error?.message).toContain(message);
  });
});

describe("a range", () => {
  it("may be one byte, and the whole of 64 bits", () => {
    expect(range().parse({ start: "0x1", last: 1 })).toEqual({ start: 1n, last: 1n });
    expect(range().parse({ start: 0, last: "0xffffffffffffffff" })).toEqual({ start: 0n, last: U64_MAX });
  });

  it("with start above last is refused", () => {
    expect(range().safeParse({ start: 2, last: 1 }).error?.message).toContain("start lies above last");
  });

  it.each([{ start: 1 }, { last: 1 }, { start: 1, last: 2, end: 3 }, [1, 2], null])(
    "%j is refused",
    (given) => {
      expect(range().safeParse(given).success).toBe(false);
    },
  );

  it("goes out and comes back the same, in the canonical form", () => {
    fc.assert(
      fc.property(u64, u64, (a, b) => {
        const given = a <= b ? { start: a, last: b } : { start: b, last: a };
        const wire = toWireRange(given);
        expect(wireRange().safeParse(wire).success).toBe(true);
        expect(range().parse(wire)).toEqual(given);
      }),
    );
  });
});

describe("a list of ranges", () => {
  it("may be empty, out of order, overlapping and touching", () => {
    const one = { start: 5, last: 9 };
    expect(rangeList().parse([])).toEqual([]);
    expect(rangeList().parse([one, { start: 0, last: 4 }, one])).toHaveLength(3);
  });
});

describe("an address in an answer", () => {
  it.each(["0x00", "0xFF", "0x", "1", "0x10000000000000000"])("is never %j", (text) => {
    expect(wireAddress().safeParse(text).success).toBe(false);
  });
});

describe("names and ids", () => {
  it.each(["default", "a", "A1._-", "9", "x".repeat(64)])("%j names a context", (name) => {
    expect(contextName().parse(name)).toBe(name);
  });

  it.each(["", ".a", "-a", "_a", "a b", "a/b", "ä", "a\n", "x".repeat(65), 1, null])(
    "%j names no context",
    (name) => {
      expect(contextName().safeParse(name).success).toBe(false);
    },
  );

  it("the context is `default` when none is named", () => {
    expect(context().parse(undefined)).toBe("default");
  });

  it.each([1, 2 ** 32 - 1])("%j is an id", (id) => {
    expect(ioasId().parse(id)).toBe(id);
  });

  it.each([0, -1, 1.5, 2 ** 32, "1", null])("%j is no id", (id) => {
    expect(ioasId().safeParse(id).success).toBe(false);
  });

  it.each(["0000:00:05.0", "0000:3a:00.1", "vfio-ap", "mdev_0", "a..b"])("%j names a device", (name) => {
    expect(deviceName().parse(name)).toBe(name);
  });

  it.each(["", ".", "..", "../x", "a/b", "/", "a\0", "a b", "x".repeat(65), 5])(
    "%j names no device",
    (name) => {
      expect(deviceName().safeParse(name).success).toBe(false);
    },
  );
});

describe("a device", () => {
  it.each([
    ["0000:00:05.0", "0000:00:05.0"],
    ["00:05.0", "0000:00:05.0"],
    ["0001:00:05.0", "0001:00:05.0"],
    ["00:05.8", "00:05.8"],
    ["arm-smmu-v3.0.auto", "arm-smmu-v3.0.auto"],
  ])("may be named %s, and %s is meant", (given, meant) => {
    expect(device().parse(given)).toBe(meant);
  });

  it("may be named so wherever one is", () => {
    for (const { name, params } of METHODS) {
      const { device, devices } = params.shape as Record<string, z.ZodType | undefined>;
      if (device) expect(device.parse("00:05.0"), name).toBe("0000:00:05.0");
      if (devices) expect(devices.parse(["00:05.0"]), name).toEqual(["0000:00:05.0"]);
    }
  });

  it.each(["", "..", "a/b", "00:05.0 "])("may not be named %j", (given) => {
    expect(device().safeParse(given).success).toBe(false);
  });
});
