/** For text between scdoc's signs. */
export function escapeText(text: string): string {
  return text.replace(/[\\*_]/g, (sign) => `\\${sign}`);
}

/** A word with its value, and what it is about below it. */
export function defined(word: string, value: string, about: string): string {
  const head = `*${escapeText(word)}*${value === "" ? "" : ` _${escapeText(value)}_`}`;
  return `${head}\n\t${escapeText(about)}`;
}

/** The source of a page with its generated parts. @throws Error for a part that there is not */
export function fill(source: string, parts: Readonly<Record<string, string>>): string {
  return source.replace(/\{\{([a-z]+)\}\}/g, (_, name: string) => {
    const part = parts[name];
    if (part === undefined) throw new Error(`there is no part ${name}`);
    return part;
  });
}

/** scdoc's page without the paragraphs that it begins and puts nothing in, which mandoc's lint complains of. */
export function withoutEmptyParagraphs(page: string): string {
  // The space between two definitions belongs to the text behind them.
  const lines = page.trimEnd().replaceAll(".P\n.RE", ".RE\n.P").split("\n");
  const kept = lines.filter((line, at) => {
    if (line !== ".P") return true;
    const [before = "", after] = [lines[at - 1], lines[at + 1]];
    return !/^\.(SH|SS|P\b|TH)/.test(before) && after !== undefined && !/^\.(SH|SS|P\b|RS|RE)/.test(after);
  });
  return `${kept.join("\n")}\n`;
}
