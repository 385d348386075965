import * as z from "zod";
import { lazily } from "../lazily.ts";
import { LIMITS } from "../limits.ts";
import { parseAddress } from "../ranges/address.ts";
import { MAX_NAME } from "../ranges/named-ranges.ts";
import type { Range } from "../ranges/range.ts";
import { parseSize, SIZE } from "../ranges/size.ts";
import { longForm } from "./device-name.ts";

/** The bits of a u64 and no more, whatever the leading zeros. Written so that no text makes it backtrack far. */
const ADDRESS_INPUT = /^0[xX](0+|0*[1-9a-fA-F][0-9a-fA-F]{0,15})$/;

/** An address, size or alignment as clients may write it; decoded to a bigint. */
export const address = lazily(() =>
  z
    .union(
      [
        z.string().regex(ADDRESS_INPUT, { error: refuseAddress }),
        z.int({ error: refuseAddress }).nonnegative({ error: refuseAddress }),
      ],
      { error: refuseAddress },
    )
    .transform((given) => (typeof given === "string" ? parseAddress(given) : BigInt(given)))
    .meta({
      id: "AddressInput",
      description:
        "A u64: hexadecimal digits after 0x, all of either case and with any leading zeros, or an integer up to 2^53-1",
    }),
);

function refuseAddress({ input }: { input?: unknown }): string {
  if (input === undefined) return "this member is required";
  return typeof input === "number" && input > Number.MAX_SAFE_INTEGER
    ? 'a number above 2^53-1 has already lost bits: write it as a string, "0x" and hexadecimal digits'
    : 'expected an address of at most 64 bits, as in "0xfee00000", or an integer from 0 to 2^53-1';
}

/** A size as clients may write it, in bytes; decoded to a bigint. */
export const size = lazily(() =>
  z
    .union(
      [
        z.string().regex(ADDRESS_INPUT, { error: refuseSize }),
        z.string().regex(SIZE, { error: refuseSize }),
        z.int({ error: refuseSize }).nonnegative({ error: refuseSize }),
      ],
      { error: refuseSize },
    )
    .transform((given, context) => {
      if (typeof given === "number") return BigInt(given);
      if (ADDRESS_INPUT.test(given)) return parseAddress(given);
      try {
        return parseSize(given);
      } catch (error) {
        context.addIssue({ code: "custom", message: (error as RangeError).message });
        return z.NEVER;
      }
    })
    .meta({
      id: "SizeInput",
      description:
        "Bytes: as an address is written, or in the form of QEMU's command line, a number and a unit in powers of 1024",
      examples: ["0x60000000000", "1536G", "1.5T", "512M"],
    }),
);

function refuseSize({ input }: { input?: unknown }): string {
  if (typeof input === "string" && /^[0-9.]+$/.test(input)) {
    return 'expected a unit: without one QEMU means bytes here and megabytes there; write "512M", or an integer for bytes';
  }
  return input === undefined || (typeof input === "number" && input > Number.MAX_SAFE_INTEGER)
    ? refuseAddress({ input })
    : 'expected a size of at most 64 bits, as in "1536G", "1.5T" or "0x80000000", or an integer of bytes from 0 to 2^53-1';
}

/** Of a member that was refused itself there is nothing more to say. */
function isOrdered({ start, last }: Range): boolean {
  return typeof start !== "bigint" || typeof last !== "bigint" || start <= last;
}
const NOT_ORDERED = { error: "start lies above last (both are inclusive)" };

/** A range as clients may write it. */
export const range = lazily(() =>
  z
    .strictObject({ start: address(), last: address() })
    .refine(isOrdered, NOT_ORDERED)
    .meta({ id: "RangeInput", description: "Addresses from start to last, both inclusive; start <= last" }),
);

/** Ranges as clients may write them. */
export const rangeList = lazily(() =>
  z
    .array(range())
    .max(LIMITS["max-ranges"].max)
    .meta({ id: "RangeListInput", description: "Ranges in any order; they may overlap and touch" }),
);

/** What a guest has in a range. */
export const windowName = lazily(() => z.string().min(1).max(MAX_NAME));

/** Ranges that may have names, as clients may write them. */
export const namedRangeList = lazily(() =>
  z
    .array(
      z
        .strictObject({ start: address(), last: address(), name: windowName().optional() })
        .refine(isOrdered, NOT_ORDERED)
        .meta({
          id: "NamedRangeInput",
          description: "As RangeInput, with a name for people and other hosts",
        }),
    )
    .max(LIMITS["max-ranges"].max)
    .meta({
      id: "NamedRangeListInput",
      description:
        'Ranges in any order; they may overlap and touch. What does becomes one range, with the names of its parts: by their starts, each once, joined by ", " and cut at 128 characters',
    }),
);

/** The name of a context. */
export const contextName = lazily(() =>
  z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
      error: "expected a name of 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit",
    })
    .meta({ id: "ContextName", description: "The name of one open /dev/iommu" }),
);

/** The context that a request means: `default` when it names none. */
export const context = lazily(() => contextName().default("default"));

/** The kernel's object id of an IO address space. iommufd ids are u32 and start at 1. */
export const ioasId = lazily(() =>
  z
    .uint32({ error: idExpected })
    .min(1, { error: idExpected })
    .meta({ id: "IoasId", description: "The kernel's object id of an IO address space in its context" }),
);

function idExpected({ input }: { input?: unknown }): string {
  return input === undefined ? "this member is required" : "expected an integer from 1 to 4294967295";
}

/** The sysfs name of a device: one path component, which is why slashes and dot names are refused. */
export const deviceName = lazily(() =>
  z
    .string()
    .regex(/^(?!\.{1,2}$)[A-Za-z0-9_.:@-]{1,64}$/, {
      error: "expected a device's sysfs name, as in 0000:00:05.0",
    })
    .meta({ id: "DeviceName", description: "The sysfs name of a device", examples: ["0000:00:05.0"] }),
);

/** A device as clients may name it. */
export const device = lazily(() =>
  deviceName()
    .transform(longForm)
    .meta({
      id: "DeviceInput",
      description:
        "The sysfs name of a device; a PCI device without its domain, as lspci prints it, is in domain 0000",
      examples: ["0000:00:05.0", "00:05.0"],
    }),
);
