import { JsonElements } from "./json-elements.ts";
import type { Text } from "./text.ts";
import type { TimeSlice } from "./time-slice.ts";

/** Values in a result beyond which it is put into words piece by piece. */
const LARGE = 2000;
/** Results as JSON. Those that are frozen are so for good: such a cached answer is put into words once. */
export class ResultTexts {
  readonly #kept = new WeakMap<object, Text>();

  /**
   * A promise when the result is so large that others are to have their turns meanwhile.
   * @throws TypeError when it is not JSON, a bigint for one
   */
  of(result: unknown, slice: TimeSlice): Text | Promise<Text> {
    const kept = this.#kept.get(result as object);
    if (kept !== undefined) return kept;
    const text = encode(result, slice);
    if (typeof result !== "object" || result === null || !Object.isFrozen(result)) return text;
    return text instanceof Promise ? text.then((made) => this.#keep(result, made)) : this.#keep(result, text);
  }

  #keep(result: object, text: Text): Text {
    this.#kept.set(result, text);
    return text;
  }
}

function encode(result: unknown, slice: TimeSlice): string | Promise<Text> {
  return weigh(result, LARGE) < LARGE ? JSON.stringify(result) : encodeLarge(result, slice);
}

/** Small neighbours in an array are put into words together, which costs a fraction of doing so one by one. */
async function encodeLarge(result: unknown, slice: TimeSlice): Promise<Text> {
  const pieces: string[] = [];
  const write = async (value: unknown, weight: number): Promise<void> => {
    if (weight < LARGE || typeof value !== "object") {
      pieces.push(JSON.stringify(value));
      if (slice.isOver) await slice.pass();
    } else if (value instanceof JsonElements) await writeElements(value);
    else if (Array.isArray(value)) await writeArray(value);
    else await writeObject(value as object);
  };
  const writeArray = async (values: readonly unknown[]): Promise<void> => {
    let before = "[";
    let begin = 0;
    let together = 0;
    const writeTogether = async (end: number) => {
      if (end === begin) return;
      pieces.push(before, JSON.stringify(values.slice(begin, end)).slice(1, -1));
      before = ",";
      begin = end;
      together = 0;
      if (slice.isOver) await slice.pass();
    };
    for (const [i, value] of values.entries()) {
      const weight = weigh(value, LARGE);
      if (together + weight >= LARGE) await writeTogether(i);
      if (weight < LARGE) {
        together += weight;
        continue;
      }
      pieces.push(before);
      await write(value, weight);
      before = ",";
      begin = i + 1;
    }
    await writeTogether(values.length);
    pieces.push("]");
  };
  const writeElements = async (elements: JsonElements): Promise<void> => {
    for (const piece of elements.text()) {
      pieces.push(piece);
      if (slice.isOver) await slice.pass();
    }
  };
  const writeObject = async (value: object): Promise<void> => {
    let before = "{";
    for (const [name, member] of Object.entries(value)) {
      if (member === undefined) continue;
      pieces.push(`${before}${JSON.stringify(name)}:`);
      await write(member, weigh(member, LARGE));
      before = ",";
    }
    pieces.push("}");
  };
  await write(result, LARGE);
  return pieces;
}

/**
 * How many values there are in a value, itself among them; counting ends at `limit`. A long string counts as several, and
 * what is in words already as many, lest it be put into words again.
 */
export function weigh(value: unknown, limit: number): number {
  if (typeof value === "string") return 1 + Math.min(limit, value.length >> 6);
  if (typeof value !== "object" || value === null) return 1;
  if (value instanceof JsonElements) return limit;
  let weight = 1;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length && weight < limit; i++) weight += weigh(value[i], limit - weight);
  } else {
    for (const name in value) {
      if (weight >= limit) break;
      weight += weigh((value as Record<string, unknown>)[name], limit - weight);
    }
  }
  return Math.min(weight, limit);
}
