import assert from "node:assert/strict";
import { fold } from "../../src/client/fold.ts";
import type { WireSnapshot } from "../../src/rpc/records.ts";
import type { Message } from "../rpc/stub.ts";
import { isAnswer } from "./client.ts";
import type { Asked, Sent } from "./streams.ts";

/** The event that tells of a request's success, always. */
const OWN_EVENT = new Map([
  ["create-context", "CONTEXT_CREATED"],
  ["create-ioas", "IOAS_CREATED"],
  ["destroy-ioas", "IOAS_DESTROYED"],
  ["hold-device", "DEVICE_HELD"],
  ["release-device", "DEVICE_RELEASED"],
]);

/** Of a message the answers that it wants, by their ids. Noise gets one without. */
function idsOf({ asked }: Sent): (number | null)[] {
  return asked.length === 0 ? [null] : asked.flatMap(({ id }) => id ?? []);
}

/** How many answers the messages want. */
export function countAnswers(sent: readonly Sent[]): number {
  return sent.filter((each) => idsOf(each).length > 0).length;
}

/** The messages were answered in order, each whole and once; `least` of them, if not all. */
export function assertAnswered(sent: readonly Sent[], got: readonly Message[], least: number): void {
  const answers = got.filter(isAnswer);
  const wanting = sent.filter((each) => idsOf(each).length > 0);
  assert(answers.length >= least, `${answers.length} answers, where ${least} are wanted`);
  const idsIn = (answer: Message) => [answer].flat().map(({ id }) => id ?? null);
  assert.deepEqual(answers.map(idsIn), wanting.slice(0, answers.length).map(idsOf));
  assert.deepEqual(
    answers.map(Array.isArray),
    wanting.slice(0, answers.length).map(({ isBatch }) => isBatch),
  );
  for (const { error } of answers.flat()) {
    const isFault = error?.code === -32603 || error?.data?.class === "InternalError";
    assert(!isFault, JSON.stringify(error));
  }
}

/** What was begun is what was asked for, in order. Returns up to which message, exclusively, it has come. */
export function assertBegunInOrder(sent: readonly Sent[], begun: readonly string[]): number {
  const asked = sent.flatMap((each, at) => each.asked.map(({ method }) => ({ method, at })));
  // It is the dialect's own, and no method of the table.
  const ofTable = asked.filter(({ method }) => method !== "qmp_capabilities");
  assert.deepEqual(
    begun,
    ofTable.slice(0, begun.length).map(({ method }) => method),
  );
  return begun.length === 0 ? 0 : (ofTable[begun.length - 1]?.at ?? 0) + 1;
}

/** A subscription as its client follows it. */
interface Followed {
  /** Of the last event; undefined when the client cannot know. */
  sequence: number | undefined;
  /** What the client believes; undefined when it has missed something, or was not told where that begins. */
  state: WireSnapshot | undefined;
  /** Events that no answer has claimed for its own; undefined when some were lost. */
  unclaimed: string[] | undefined;
}

const subject = ({ device, context, ioas }: Message) => device ?? [context, ioas ?? []].flat().join(" ");

/**
 * Follows what a client is told, and fails where an event is unasked for, missing, or behind the answer to its own request.
 * Returns what the client believes of the host as it was at the event `last`.
 */
export function follow(sent: readonly Sent[], got: readonly Message[], last = Number.POSITIVE_INFINITY) {
  const asked = new Map(sent.flatMap((each) => each.asked).map((each) => [each.id, each]));
  let followed: Followed | undefined;
  for (const message of got) {
    if (isAnswer(message)) {
      for (const { id, result, return: returned } of [message].flat()) {
        const question = asked.get(id);
        if (question && (result ?? returned)) followed = afterAnswer(followed, question, result ?? returned);
      }
      continue;
    }
    const { method = message.event, params = message.data } = message;
    assert(followed, `${method} without a subscription`);
    followEvent(followed, method, params, last);
  }
  return followed?.state;
}

function followEvent(followed: Followed, method: string, params: Message, last: number): void {
  const before = followed.sequence;
  const passed = method === "EVENTS_LOST" ? params.count : 1;
  if (before !== undefined) assert.equal(params.sequence, before + passed, `the sequence of ${method}`);
  followed.sequence = params.sequence;
  if (method === "EVENTS_LOST") {
    followed.unclaimed = undefined;
    followed.state = undefined;
  }
  followed.unclaimed?.push(`${method} ${subject(params)}`);
  if (followed.state && params.sequence <= last) followed.state = fold(followed.state, { method, params });
}

function afterAnswer(followed: Followed | undefined, asked: Asked, result: Message): Followed | undefined {
  switch (asked.method) {
    case "subscribe": {
      const { sequence, devices, contexts, ioas } = result;
      return { sequence, state: { devices, contexts, ioas }, unclaimed: [] };
    }
    case "qmp_capabilities":
      return { sequence: undefined, state: undefined, unclaimed: [] };
    case "unsubscribe":
      return undefined;
  }
  const own = OWN_EVENT.get(asked.method);
  if (!own || !followed?.unclaimed) return followed;
  const event = `${own} ${subject({ ...asked.params, ...result })}`;
  const at = followed.unclaimed.indexOf(event);
  assert(at >= 0, `${event} was not told before the answer`);
  followed.unclaimed.splice(at, 1);
  return followed;
}
