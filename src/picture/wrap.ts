/** Lines of at most `width` characters. A word that is longer is broken behind its hyphens, as far as it has any. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const pieces = word.length > width ? word.split(/(?<=-)/) : [word];
    for (const [at, piece] of pieces.entries()) {
      const line = lines.at(-1);
      const joined = `${line}${at === 0 ? " " : ""}${piece}`;
      if (line === undefined || joined.length > width) lines.push(piece);
      else lines[lines.length - 1] = joined;
    }
  }
  return lines;
}

/** At most `width` characters; of a PCI device's name its domain goes first. */
export function shorten(text: string, width: number): string {
  if (text.length <= width) return text;
  const short = text.replace(/^0000:/, "");
  return short.length <= width ? short : `${short.slice(0, Math.max(0, width - 1))}…`;
}
