/** The highest address there is: every address, size and alignment of the kernel's interface is a u64. */
export const U64_MAX = 2n ** 64n - 1n;

/** Any number of leading zeros, so that the digits that count are at most 16. */
const ADDRESS = /^0[xX]0*[0-9a-fA-F]{1,16}$/;
const HEXADECIMAL = /^0[xX][0-9a-fA-F]+$/;

/** The most of a refused text that a message repeats: input may be a megabyte long. */
const ECHO_LIMIT = 40;

/**
 * Reads an address as it stands on the wire and in sysfs: hexadecimal digits after `0x`, all of either case, with
 * any number of leading zeros.
 * @throws RangeError for everything else, blanks, decimal digits and more than 64 bits included
 */
export function parseAddress(text: string): bigint {
  if (ADDRESS.test(text)) return BigInt(text);
  const echo = JSON.stringify(text.length > ECHO_LIMIT ? `${text.slice(0, ECHO_LIMIT)}…` : text);
  throw new RangeError(
    HEXADECIMAL.test(text)
      ? `${echo} does not fit in 64 bits`
      : `${echo} is not an address: write 0x and hexadecimal digits`,
  );
}

/** Writes an address the way answers carry it: lower-case hexadecimal after `0x`, not padded. */
export function formatAddress(address: bigint): string {
  return `0x${address.toString(16)}`;
}
