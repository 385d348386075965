import type { TimeSlice } from "./time-slices.ts";

/** Values in a result beyond which it is put into words piece by piece. */
const LARGE = 2000;
/** How many small pieces are written between two looks at the clock. */
const PORTION = 32;

/** Results as JSON text. Those that are frozen are so for good: such a cached answer is put into words once. */
export class ResultTexts {
  readonly #kept = new WeakMap<object, string>();

  /**
   * A promise when the result is so large that others are to have their turns meanwhile.
   * @throws TypeError when it is not JSON, a bigint for one
   */
  of(result: unknown, slice: TimeSlice): string | Promise<string> {
    const kept = this.#kept.get(result as object);
    if (kept !== undefined) return kept;
    const text = encode(result, slice);
    if (typeof result !== "object" || result === null || !Object.isFrozen(result)) return text;
    return typeof text === "string"
      ? this.#keep(result, text)
      : text.then((made) => this.#keep(result, made));
  }

  #keep(result: object, text: string): string {
    this.#kept.set(result, text);
    return text;
  }
}

function encode(result: unknown, slice: TimeSlice): string | Promise<string> {
  return weigh(result, LARGE) < LARGE ? JSON.stringify(result) : encodeLarge(result, slice);
}

async function encodeLarge(result: unknown, slice: TimeSlice): Promise<string> {
  const pieces: string[] = [];
  let count = 0;
  const write = async (value: unknown): Promise<void> => {
    if (typeof value !== "object" || weigh(value, LARGE) < LARGE) {
      // Undefined, as an element of an array.
      pieces.push(JSON.stringify(value) ?? "null");
      if (++count % PORTION === 0 && slice.isOver) await slice.pass();
    } else if (Array.isArray(value)) {
      let before = "[";
      for (const each of value) {
        pieces.push(before);
        await write(each);
        before = ",";
      }
      pieces.push("]");
    } else {
      let before = "{";
      for (const [name, member] of Object.entries(value as object)) {
        if (member === undefined) continue;
        pieces.push(`${before}${JSON.stringify(name)}:`);
        await write(member);
        before = ",";
      }
      pieces.push("}");
    }
  };
  await write(result);
  return pieces.join("");
}

/** How many values there are in a value, itself among them; counting ends at `limit`. */
function weigh(value: unknown, limit: number): number {
  if (typeof value === "string") return 1 + Math.min(limit, value.length >> 6);
  if (typeof value !== "object" || value === null) return 1;
  let weight = 1;
  for (const member of Array.isArray(value) ? value : Object.values(value)) {
    weight += weigh(member, limit - weight);
    if (weight >= limit) return limit;
  }
  return weight;
}
