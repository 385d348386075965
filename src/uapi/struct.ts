/** One member of a C struct: where it is, how wide, and how it is read and written there. Little-endian. */
export interface Field<T extends number | bigint> {
  /** Bytes from the start of the struct. */
  readonly offset: number;
  /** Bytes. */
  readonly width: 1 | 2 | 4 | 8;
  readonly read: (from: Buffer, at: number) => T;
  readonly write: (into: Buffer, value: T, at: number) => void;
}

type Fields = Readonly<Record<string, Field<number> | Field<bigint>>>;
type Values<F extends Fields> = { -readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** A C struct as a table of fields. `size` is what the C compiler says sizeof is, in bytes. */
export interface Struct<F extends Fields> {
  readonly name: string;
  readonly size: number;
  readonly fields: F;

  /**
   * The struct's bytes. Fields not given are 0, except a leading `size` or `argsz`, by which the kernel tells
   * versions of a struct apart: it defaults to this struct's size. Throws RangeError when a value does not fit.
   */
  encode(values?: Partial<Values<F>>): Buffer;

  /** Reads the first `size` bytes; throws RangeError when there are fewer. */
  decode(bytes: Uint8Array): Values<F>;

  /** The bytes of a C array of the struct. */
  encodeArray(list: readonly Partial<Values<F>>[]): Buffer;

  /** The first `count` elements of a C array, or as many whole ones as there are. */
  decodeArray(bytes: Uint8Array, count?: number): Values<F>[];
}

export const u8 = (offset: number): Field<number> => ({
  offset,
  width: 1,
  read: (from, at) => from.readUInt8(at),
  write: (into, value, at) => into.writeUInt8(value, at),
});

export const u16 = (offset: number): Field<number> => ({
  offset,
  width: 2,
  read: (from, at) => from.readUInt16LE(at),
  write: (into, value, at) => into.writeUInt16LE(value, at),
});

export const u32 = (offset: number): Field<number> => ({
  offset,
  width: 4,
  read: (from, at) => from.readUInt32LE(at),
  write: (into, value, at) => into.writeUInt32LE(value, at),
});

export const s32 = (offset: number): Field<number> => ({
  offset,
  width: 4,
  read: (from, at) => from.readInt32LE(at),
  write: (into, value, at) => into.writeInt32LE(value, at),
});

export const u64 = (offset: number): Field<bigint> => ({
  offset,
  width: 8,
  read: (from, at) => from.readBigUInt64LE(at),
  write: (into, value, at) => into.writeBigUInt64LE(value, at),
});

/** A struct of `size` bytes; the types of `encode` and `decode` follow from the table. */
export function struct<const F extends Fields>(name: string, size: number, fields: F): Struct<F> {
  const members = Object.entries(fields) as [string, Field<number | bigint>][];
  const sizeMember = members.find(([member, { offset }]) => offset === 0 && /^(size|argsz)$/.test(member));

  function put(into: Buffer, base: number, values: Partial<Values<F>>): void {
    if (sizeMember) sizeMember[1].write(into, size, base);
    for (const [member, field] of members) {
      const value = values[member];
      if (value !== undefined) field.write(into, value, base + field.offset);
    }
  }

  function take(from: Buffer, base: number): Values<F> {
    const values: Record<string, number | bigint> = {};
    for (const [member, field] of members) values[member] = field.read(from, base + field.offset);
    return values as Values<F>;
  }

  return {
    name,
    size,
    fields,
    encode(values = {}) {
      const bytes = Buffer.alloc(size);
      put(bytes, 0, values);
      return bytes;
    },
    decode(bytes) {
      if (bytes.length < size) throw new RangeError(`${name} has ${size} bytes, not ${bytes.length}`);
      return take(asBuffer(bytes), 0);
    },
    encodeArray(list) {
      const bytes = Buffer.alloc(size * list.length);
      list.forEach((values, index) => {
        put(bytes, index * size, values);
      });
      return bytes;
    },
    decodeArray(bytes, count = Math.floor(bytes.length / size)) {
      const from = asBuffer(bytes);
      return Array.from({ length: count }, (_, index) => take(from, index * size));
    },
  };
}

/** The same memory with Buffer's methods. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
