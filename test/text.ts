import fc from "fast-check";

const scalar = fc.oneof(fc.integer({ min: 0, max: 0xd7ff }), fc.integer({ min: 0xe000, max: 0x10ffff }));

/** Of any characters at all. fast-check has the same as the unit "binary", and takes a second to make it. */
export const anyText = fc.array(scalar).map((codes) => String.fromCodePoint(...codes));
