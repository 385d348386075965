import { UsageError } from "../../command-line.ts";
import { choosePaint, type Paint } from "./paint.ts";
import { type Column, table } from "./table.ts";

/** The options that say how answers look. */
export interface Look {
  readonly json?: string;
  readonly color?: string;
  readonly output?: string;
  readonly noLegend?: boolean;
}

type Json = "pretty" | "short" | "off";

/** Columns of a picture where nobody says how wide the page is. */
const USUAL_WIDTH = 80;

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
    this.#columns = output?.split(",").filter((name) => name !== "");
  }

  /** Of a picture: it needs one. */
  get pageWidth(): number {
    return this.width ?? USUAL_WIDTH;
  }

  print(...lines: readonly string[]): void {
    for (const line of lines) this.#stream.write(`${line}\n`);
  }

  /** As it is, without a line's end. */
  raw(text: string): void {
    this.#stream.write(text);
  }

  /** The daemon's answer as it is, where JSON is wanted; otherwise the lines that tell people the same. */
  answer<Answer>(answer: Answer, lines: (answer: Answer) => readonly string[]): void {
    if (this.json === "off") this.print(...lines(answer));
    else this.printJson(answer);
  }

  printJson(value: unknown): void {
    this.print(JSON.stringify(value, undefined, this.json === "short" ? undefined : 2));
  }

  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
    return table(columns, rows, {
      paint: this.paint,
      legend: this.#legend,
      width: this.width,
      columns: this.#columns,
    });
  }

  /** `NAME  VALUE` a line, what is undefined left out. */
  facts(facts: readonly (readonly [name: string, value: string | undefined])[]): string[] {
    const known = facts.filter(([, value]) => value !== undefined);
    const width = Math.max(0, ...known.map(([name]) => name.length));
    return known.map(([name, value]) => `${this.paint("heading", name.padEnd(width))}  ${value}`);
  }
}

function oneOf<Word extends string>(option: string, given: string, words: readonly Word[]): Word {
  const word = words.find((each) => each === given);
  if (word === undefined) throw new UsageError(`${option} takes ${words.join(", ")}, not "${given}"`);
  return word;
}
