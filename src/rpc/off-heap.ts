/** From so many bytes on what Node.js makes a string of is kept outside V8's heap: EXTERN_APEX in its string_bytes.cc. */
export const ENOUGH = 0xfbee9;

/**
 * The texts, of ENOUGH characters in all, as one that V8's garbage collector need not move: to move the parts of a large
 * answer, twice each, takes it longer than it takes to make them. As they are when there is more than ASCII in them.
 */
export function offHeap(texts: readonly string[]): readonly string[] {
  let size = 0;
  for (const text of texts) {
    if (Buffer.byteLength(text) !== text.length) return texts;
    size += text.length;
  }
  const bytes = Buffer.allocUnsafeSlow(size);
  let at = 0;
  for (const text of texts) at += bytes.write(text, at, "latin1");
  return [bytes.toString("latin1")];
}
