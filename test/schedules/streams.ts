import fc from "fast-check";
import { toWireNamedRange } from "../../src/rpc/wire.ts";
import { inQmp } from "../fuzz/lines.ts";
import { CONTEXTS, type Operation, operationOn } from "../host/operations.ts";
import { request } from "../rpc/stub.ts";
import { DEVICES } from "./schedule.ts";

export type Dialect = "json-rpc" | "qmp";

/** What is asked for, in whichever dialect. */
export interface Question {
  readonly method: string;
  readonly params: object;
}

/** A question as it was put. */
export interface Asked extends Question {
  /** Undefined where no answer is wanted. */
  readonly id: number | undefined;
}

/** A message as it was sent. */
export interface Sent {
  readonly text: string;
  /** Nothing: the text is no JSON. */
  readonly asked: readonly Asked[];
  readonly isBatch: boolean;
}

const device = fc.constantFrom(...DEVICES);
const context = fc.constantFrom(...CONTEXTS);
const ioas = fc.constantFrom(1, 1, 2, 3);
const lease = fc.constantFrom("connection", "handed-over");

function asking(method: string, params: Record<string, fc.Arbitrary<unknown>> = {}) {
  return fc.record(params).map((params): Question => ({ method, params }));
}

/** The request for what other tests ask the host for. In most contexts the n-th IOAS has the n-th id. */
function inWords(operation: Operation): Question {
  switch (operation.kind) {
    case "create-context":
      return { method: "create-context", params: { context: "guest" } };
    case "destroy-context":
      return { method: "destroy-context", params: { context: "guest" } };
    case "create-ioas":
      return { method: "create-ioas", params: { context: operation.context } };
    case "destroy-ioas":
      return { method: "destroy-ioas", params: { context: operation.context, ioas: operation.nth + 1 } };
    case "allow": {
      const { context, nth, ranges } = operation;
      return {
        method: "allow-ranges",
        params: { context, ioas: nth + 1, ranges: ranges.map(toWireNamedRange) },
      };
    }
    case "hold":
      return { method: "hold-device", params: { device: operation.device, context: operation.context } };
    case "attach":
      return { method: "attach-device", params: { device: operation.device, ioas: operation.nth + 1 } };
    default:
      return { method: `${operation.kind}-device`, params: { device: operation.device } };
  }
}

const question = fc.oneof(
  { weight: 16, arbitrary: operationOn(DEVICES).map(inWords) },
  { weight: 1, arbitrary: asking("create-context", { context: fc.constant("guest"), lease }) },
  { weight: 1, arbitrary: asking("hand-over-device", { device, context: fc.constant("guest") }) },
  { weight: 1, arbitrary: asking("hand-over-context", { context: fc.constant("guest") }) },
  { weight: 8, arbitrary: asking("query-allowed-ranges", { context, ioas }) },
  { weight: 1, arbitrary: asking("predict-allowed-ranges", { devices: device.map((each) => [each]) }) },
  { weight: 1, arbitrary: asking("query-devices") },
  { weight: 1, arbitrary: asking("query-status") },
  { weight: 1, arbitrary: asking("query-events") },
);
const subscription = fc.oneof(
  { weight: 3, arbitrary: asking("subscribe") },
  { weight: 1, arbitrary: asking("unsubscribe") },
);

/** How often: more than once, it is the same question with another id each time. */
const times = fc.constantFrom(1, 1, 1, 2, 3);
const message = fc.oneof(
  { weight: 12, arbitrary: fc.record({ kind: fc.constant("request" as const), question, times }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("request" as const), question: subscription, times }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("notification" as const), question }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("batch" as const),
      elements: fc.array(fc.record({ question, isAnswered: fc.boolean() }), { minLength: 1, maxLength: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("noise" as const) }) },
);
type Message = typeof message extends fc.Arbitrary<infer T> ? T : never;

/** A message of one request, or of one notification. */
export function single(asked: Asked, dialect: Dialect): Sent {
  const worded = inJsonRpc(asked);
  return { text: JSON.stringify(dialect === "qmp" ? inQmp(worded) : worded), asked: [asked], isBatch: false };
}

const inJsonRpc = ({ id, method, params }: Asked) => request(id, method, params);

/** The messages in a dialect, each question with an id of its own. QMP has requests alone, behind a negotiation. */
function worded(messages: readonly Message[], dialect: Dialect): Sent[] {
  let ids = 0;
  const put = (question: Question, isAnswered: boolean): Asked => ({
    ...question,
    id: isAnswered ? ++ids : undefined,
  });
  const sent = messages.flatMap((each): Sent[] => {
    switch (each.kind) {
      case "noise":
        return [{ text: "no JSON", asked: [], isBatch: false }];
      case "batch": {
        const asked = each.elements.map(({ question, isAnswered }) => put(question, isAnswered));
        return [{ text: JSON.stringify(asked.map(inJsonRpc)), asked, isBatch: true }];
      }
      case "notification":
        return [single(put(each.question, false), dialect)];
      default:
        return Array.from({ length: each.times }, () => single(put(each.question, true), dialect));
    }
  });
  return dialect === "qmp"
    ? [single({ id: 0, method: "qmp_capabilities", params: {} }, dialect), ...sent]
    : sent;
}

/** What one client sends. */
export const stream = fc
  .record({
    dialect: fc.constantFrom<Dialect[]>("json-rpc", "json-rpc", "json-rpc", "json-rpc", "qmp"),
    messages: fc.array(message, { minLength: 1, maxLength: 40 }),
  })
  .map(({ dialect, messages }) => {
    const all = dialect === "qmp" ? messages.filter(({ kind }) => kind === "request") : messages;
    return { dialect, sent: worded(all, dialect) };
  });
