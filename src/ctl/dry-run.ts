/** A command has got as far as it can without an answer. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

/** In place of a client: prints what would be sent, for socat. */
export class DryRun {
  readonly #print: (line: string) => void;
  #id = 0;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  call(method: string, params?: object): Promise<never> {
    return this.request(method, params);
  }

  /** Rejects with NoAnswer: requests that need no answer to be made have to be made before the first is awaited. */
  async request(method: string, params?: object): Promise<never> {
    this.#print(JSON.stringify({ jsonrpc: "2.0", id: ++this.#id, method, ...(params ? { params } : {}) }));
    throw new NoAnswer();
  }

  /** A subscription, too, is a request. */
  events({ names, since }: { names?: readonly string[]; since?: object } = {}): { next(): Promise<never> } {
    const params = { ...(names ? { events: names } : {}), ...(since ? { since } : {}) };
    return Object.assign(
      { next: () => this.request("subscribe", params) },
      { [Symbol.asyncIterator]: () => ({ next: () => this.request("subscribe", params) }) },
    );
  }

  async close(): Promise<void> {}
  destroy(): void {}
}
