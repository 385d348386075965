/** An array whose elements are in JSON already: for a list so long that to make its values first takes longer. */
export class JsonElements {
  readonly texts: readonly string[];

  constructor(texts: readonly string[]) {
    this.texts = texts;
  }
}

/** For a result. Only {@link encode} looks into it, so it passes for the array that it becomes. */
export function jsonElements<T>(texts: readonly string[]): T[] {
  return new JsonElements(texts) as unknown as T[];
}
