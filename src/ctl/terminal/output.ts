import { showable, UNSHOWABLE, UsageError } from "../../command-line.ts";
import { wrap } from "../../picture/wrap.ts";
import { COLOUR, choosePaint, type Paint, plain, type Role } from "./paint.ts";
import { type Column, type Columns, columnNamed, table } from "./table.ts";

/** The options that say how answers look. */
export interface Look {
  readonly json?: string;
  readonly color?: string;
  readonly output?: string;
  readonly noLegend?: boolean;
}

type Facts = readonly (readonly [name: string, value: string | undefined])[];

type Json = "pretty" | "short" | "off";

/** Columns of a picture where nobody says how wide the page is. */
const USUAL_WIDTH = 80;
/** What colours begin with: such a text is short, and as long as it seems. */
const ESCAPE = "\x1b";
const COLOUR_OR_UNSHOWABLE = new RegExp(`${COLOUR.source}|${UNSHOWABLE.source}`, "gu");
/** What text takes at least, however narrow the terminal is. */
const NARROWEST = 20;

/** Standard output, for people or for scripts. */
export class Output {
  readonly paint: Paint;
  readonly isTerminal: boolean;
  /** Columns; undefined where lines may have any length. */
  readonly width: number | undefined;
  readonly json: Json;
  readonly #stream: NodeJS.WriteStream;
  readonly #legend: boolean;
  readonly #columns: readonly string[] | undefined;

  /** @throws UsageError */
  constructor(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv, look: Look) {
    const { json = "off", color = "auto", output, noLegend = false } = look;
    this.#stream = stream;
    this.isTerminal = stream.isTTY === true;
    this.json = oneOf("--json", json === "auto" ? (this.isTerminal ? "pretty" : "short") : json, [
      "pretty",
      "short",
      "off",
    ]);
    this.paint = choosePaint(oneOf("--color", color, ["auto", "always", "never"]), this.isTerminal, env);
    this.width = Number(env.COLUMNS) || stream.columns || undefined;
    this.#legend = !noLegend;
    this.#columns = output
      ?.toLowerCase()
      .split(",")
      .filter((name) => name !== "");
  }

  /** Of a picture: it needs one. */
  get pageWidth(): number {
    return this.width ?? USUAL_WIDTH;
  }

  /** Whether -o names the column. */
  asksFor(column: string): boolean {
    return this.#columns?.includes(column) ?? false;
  }

  /** Before anything is asked. @throws UsageError when -o names what the table has not, or there is none */
  expect(columns: Columns): void {
    if (!this.#columns) return;
    if (!columns) throw new UsageError("-o: there is no table here whose columns could be chosen");
    for (const name of this.#columns) columnNamed(columns, name);
  }

  print(...lines: readonly string[]): void {
    for (const line of lines) this.#stream.write(`${this.#shown(line)}\n`);
  }

  /** As it is, without a line's end. */
  raw(text: string): void {
    this.#stream.write(text.replaceAll(UNSHOWABLE, (found) => (found === "\n" ? found : "?")));
  }

  /** The daemon's answer as it is, where JSON is wanted; otherwise the lines that tell people the same. */
  answer<Answer>(answer: Answer, lines: (answer: Answer) => readonly string[]): void {
    if (this.json !== "off") this.printJson(answer);
    // One by one: there may be more of them than a call takes arguments.
    else for (const line of lines(answer)) this.print(line);
  }

  /** What is JSON in any case goes on one line in a pipe, unless it is asked for otherwise. */
  printJson(value: unknown): void {
    const isPretty = this.json === "pretty" || (this.json === "off" && this.isTerminal);
    const text = JSON.stringify(value, undefined, isPretty ? 2 : undefined);
    // The same value: JSON may have any character as its number.
    this.#stream.write(
      `${text.replaceAll(UNSHOWABLE, (found) => (found === "\n" ? found : numbered(found)))}\n`,
    );
  }

  /** The table that -o is about. */
  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
    return this.#table(columns, rows, this.#columns);
  }

  /** One that stands beside it, and has all of its columns in any case. */
  otherTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
    return this.#table(columns, rows, undefined);
  }

  /** Parts with an empty line between each two, those left out that have none. */
  paragraphs(...parts: readonly (readonly string[])[]): string[] {
    return parts.filter(({ length }) => length > 0).flatMap((part, at) => (at === 0 ? part : ["", ...part]));
  }

  /** Text on as many lines as it takes beside a margin of so many columns; on one where lines may have any length. */
  wrapped(text: string, margin: number): string[] {
    return this.width === undefined ? [text] : wrap(text, Math.max(this.width - margin, NARROWEST));
  }

  /** A text that its first words, the head, tell the kind of; what goes on below it stands a little further in. */
  note(role: Role, head: string, text: string): string[] {
    const [first = "", ...more] = this.wrapped(`${head}: ${text}`, 2);
    const painted = first.startsWith(head) ? this.paint(role, head) + first.slice(head.length) : first;
    return [painted, ...more.map((line) => `  ${line}`)];
  }

  /** Facts beside a table: nothing without a legend, for who wants the table alone. */
  legend(facts: Facts): string[] {
    return this.#legend ? this.facts(facts) : [];
  }

  /** `NAME  VALUE` a line, what is undefined left out. */
  facts(facts: Facts): string[] {
    const known = facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
    const width = Math.max(0, ...known.map(([name]) => name.length));
    return known.flatMap(([name, value]) => {
      const [first = "", ...more] = value.includes(ESCAPE) ? [value] : this.wrapped(value, width + 2);
      const head = `${this.paint("heading", name.padEnd(width))}  ${first}`;
      return [head, ...more.map((line) => `${" ".repeat(width)}  ${line}`)];
    });
  }

  /** Whatever the line was made of, nothing but our own colours does anything to a terminal. */
  #shown(line: string): string {
    if (this.paint === plain) return showable(line);
    return line.replaceAll(COLOUR_OR_UNSHOWABLE, (found) => (found.length > 1 ? found : "?"));
  }

  #table<Row>(
    columns: readonly Column<Row>[],
    rows: readonly Row[],
    chosen: readonly string[] | undefined,
  ): string[] {
    return table(columns, rows, {
      paint: this.paint,
      legend: this.#legend,
      width: this.width,
      columns: chosen,
    });
  }
}

function numbered(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function oneOf<Word extends string>(option: string, given: string, words: readonly Word[]): Word {
  const word = words.find((each) => each === given);
  if (word === undefined) throw new UsageError(`${option} takes ${words.join(", ")}, not "${given}"`);
  return word;
}
