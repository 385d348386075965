/** Lines of at most `width` characters, of a word that is longer its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}

/** At most `width` characters; of a PCI device's name its domain goes first. */
export function shorten(text: string, width: number): string {
  if (text.length <= width) return text;
  const short = text.replace(/^0000:/, "");
  return short.length <= width ? short : `${short.slice(0, Math.max(0, width - 1))}…`;
}
