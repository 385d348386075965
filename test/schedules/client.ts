import fc from "fast-check";
import { Client, type Message } from "../rpc/stub.ts";
import { turns } from "./schedule.ts";
import { type Sent, single, stream } from "./streams.ts";

function cutsOf(most: number) {
  const cut = fc.record({
    bytes: fc.integer({ min: 1, max: most }),
    /** How long the next one is waited with. */
    turns: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.nat(9)),
    /** Whether nothing is read meanwhile. */
    isDeaf: fc.boolean(),
  });
  return fc.array(cut, { minLength: 1, maxLength: 20 });
}

/** What a client sends, in which pieces, and what then becomes of it. */
export const behaviour = fc.record({
  stream,
  /** The first again behind the last. */
  cuts: fc.oneof(...[10, 200, 5_000, 100_000].map(cutsOf)),
  fate: fc.oneof(
    fc.constant({ kind: "stays" as const }),
    fc.record({ kind: fc.constant("half-closes" as const), isLastLineWhole: fc.boolean() }),
    /** Behind so many bytes, if it has as many. */
    fc.record({ kind: fc.constant("dies" as const), behind: fc.nat(4_000) }),
  ),
});
export type Behaviour = typeof behaviour extends fc.Arbitrary<infer T> ? T : never;

/** Asks only what it is told to. */
export const SILENT: Behaviour = {
  stream: { dialect: "json-rpc", sent: [] },
  cuts: [],
  fate: { kind: "stays" },
};

/** Of a request that no stream has in it. */
const LAST = -1;

/** Whether it is the answer to a message, in either dialect. */
export function isAnswer(message: Message): boolean {
  return Array.isArray(message) || "result" in message || "error" in message || "return" in message;
}

/** A client that behaves as it is told to, and keeps all that it gets. */
export class BehavedClient {
  readonly behaviour: Behaviour;
  readonly sent: Sent[];
  readonly got: Message[] = [];
  /** The server has left unread what came last; some of what it had sent is then lost on this side, too. */
  isReset = false;
  readonly #client: Client;

  private constructor(client: Client, behaviour: Behaviour) {
    this.#client = client;
    this.behaviour = behaviour;
    this.sent = [...behaviour.stream.sent];
    client.socket.on("error", () => {
      this.isReset = true;
    });
  }

  /** One that has read its greeting. */
  static async connect(path: string, behaviour: Behaviour): Promise<BehavedClient> {
    const client = new Client(path);
    await client.next();
    return new BehavedClient(client, behaviour);
  }

  /** Sends all there is to send, and does what is then to be done. */
  async play(): Promise<void> {
    const { stream, cuts, fate } = this.behaviour;
    const { socket } = this.#client;
    const text = stream.sent.map((each) => `${each.text}\n`).join("");
    const bytes = Buffer.from(
      fate.kind === "half-closes" && !fate.isLastLineWhole ? text.slice(0, -1) : text,
    );
    for (let at = 0, nth = 0; at < bytes.length; nth++) {
      const cut = cuts[nth % cuts.length] as (typeof cuts)[number];
      if (fate.kind === "dies" && at + cut.bytes > fate.behind) break;
      this.#client.write(bytes.subarray(at, at + cut.bytes));
      at += cut.bytes;
      if (cut.isDeaf) socket.pause();
      await turns(cut.turns);
      socket.resume();
    }
    if (fate.kind === "half-closes") socket.end();
    if (fate.kind === "dies") socket.destroy();
  }

  /** Gets so many answers, and what comes before them; less if the connection ends. */
  async answers(count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      const message = await this.#client.next();
      if (message === undefined) return;
      this.got.push(message);
      if (isAnswer(message)) left--;
    }
  }

  /** Gets the answer to one more request, which all events so far come before. */
  async ask(method: string): Promise<Message> {
    const asked = single({ id: LAST, method, params: {} }, this.behaviour.stream.dialect);
    this.sent.push(asked);
    this.#client.write(`${asked.text}\n`);
    await this.answers(1);
    return this.got.at(-1);
  }

  /** Gets all there is until the connection ends. */
  async rest(): Promise<void> {
    this.got.push(...(await this.#client.rest()));
  }

  destroy(): void {
    this.#client.socket.destroy();
  }
}
