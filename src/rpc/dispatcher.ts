import type { JSONRPCError } from "json-rpc-2.0";
import type { Logger } from "pino";
import { limitExceeded } from "../host/errors.ts";
import type { Limits } from "../limits.ts";
import { Requests } from "../metrics/requests.ts";
import type { ControlLog } from "./control-log.ts";
import type { Dialect, DialectCall } from "./dialect.ts";
import { ResultTexts } from "./encode.ts";
import {
  invalidRequest,
  isExpected,
  lineTooLong,
  methodNotFound,
  parseError,
  toErrorObject,
  tooManyInFlight,
} from "./errors.ts";
import { execute } from "./execute.ts";
import { HEAD, type Line, NOT_UTF8 } from "./framing.ts";
import { LARGE, parseInSteps } from "./json-in-steps.ts";
import type { Batch, Fault, Message, Request } from "./message.ts";
import type { Method } from "./method.ts";
import { nestsWithin, TooDeep } from "./nesting.ts";
import { lengthOf, type Text } from "./text.ts";
import { topLevelId } from "./top-level-id.ts";

/** What to send for a line: nothing for a notification, and a promise only when something has to be waited for. */
export type Answer = Text | undefined | Promise<Text | undefined>;

/** From a line to its answer, in the dialect of the connection that it came over. */
export class Dispatcher {
  readonly #methods: ReadonlyMap<string, Method>;
  readonly #texts = new ResultTexts();
  readonly #controlLog: ControlLog;
  readonly #log: Logger;

  /** Is told of every request what became of it. */
  readonly #requests: Requests;

  constructor(methods: readonly Method[], controlLog: ControlLog, log: Logger, requests = new Requests()) {
    this.#requests = requests;
    this.#methods = new Map(methods.map((method) => [method.name, method]));
    this.#controlLog = controlLog;
    this.#log = log;
  }

  /**
   * Answers one line. Never throws and never rejects. `counted` is told of every answer of a batch, since they wait for
   * the last one; when it returns false, that was it.
   */
  answer(line: Line, call: DialectCall, counted: (bytes: number) => boolean): Answer {
    if (typeof line === "string" && line.length >= LARGE) return this.#answerLarge(line, call, counted);
    return this.#answerTo(this.#parse(line, call), call, counted);
  }

  /** Answers a line that is one too many: nothing of it runs. */
  refuse(line: Line, call: DialectCall): string | undefined {
    const { dialect } = call.connection;
    const message = this.#parse(line, call);
    if (message.kind === "request" && !message.isAnswered) return undefined;
    const id = message.kind === "batch" ? undefined : message.id;
    return dialect.error(id, toErrorObject(tooManyInFlight(call.limits["max-in-flight"])));
  }

  async #answerLarge(
    line: string,
    call: DialectCall,
    counted: (bytes: number) => boolean,
  ): Promise<Text | undefined> {
    const { connection, limits, slice } = call;
    let message: Message;
    try {
      const value = await slice.run(parseInSteps(line, limits["max-nesting"]));
      message = connection.dialect.read(value);
    } catch (error) {
      const isOurs = !(error instanceof TooDeep || error instanceof SyntaxError);
      if (isOurs) this.#log.error({ err: error }, "a line could not be read by a fault of ours");
      message = error instanceof TooDeep ? tooDeep(line, limits) : NO_JSON;
    }
    return this.#answerTo(message, call, counted);
  }

  #answerTo(message: Message, call: DialectCall, counted: (bytes: number) => boolean): Answer {
    if (message.kind === "batch") return this.#batch(message, call, counted);
    if (message.kind === "fault") return call.connection.dialect.error(message.id, message.error);
    return this.#request(message, call);
  }

  #parse(line: Line, { connection, limits, last }: DialectCall): Message {
    if (line === NOT_UTF8) return fault(undefined, parseError("the line is not valid UTF-8"));
    if (typeof line !== "string")
      return fault(topLevelId(line.head) ?? undefined, lineTooLong(limits["max-request"]));
    if (!nestsWithin(line, limits["max-nesting"])) return tooDeep(line, limits);
    const again = last.again(line);
    if (again) return again;
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      return NO_JSON;
    }
    const read = connection.dialect.read(message);
    // What a dialect's own methods do, its reading of the next line may depend on.
    if (read.kind === "request" && !connection.dialect.methods.has(read.method)) last.keep(line, read);
    return read;
  }

  /** What needs no waiting makes no promise and no function: most requests are small, and there are many. */
  #request(request: Request, call: DialectCall): Answer {
    const { dialect } = call.connection;
    // Whoever runs requests looks before each whether it is its turn.
    const began = call.slice.looked;
    const method = dialect.methods.get(request.method) ?? this.#methods.get(request.method);
    try {
      if (!method) throw methodNotFound(request.method, [...dialect.methods.keys(), ...this.#methods.keys()]);
      const result = execute(method, request.params, call, this.#controlLog);
      const text =
        result instanceof Promise ? this.#encodeLater(result, call) : this.#texts.of(result, call.slice);
      if (!(text instanceof Promise)) return this.#done(request, method, text, call, began);
      return text.then(
        (settled) => this.#done(request, method, settled, call, began),
        (error) => this.#failed(request, method, error, call, began),
      );
    } catch (error) {
      return this.#failed(request, method, error, call, began);
    }
  }

  #done(
    { id, isAnswered }: Request,
    method: Method,
    text: Text,
    { connection, slice }: DialectCall,
    began: number,
  ): Text | undefined {
    this.#record(method, "done", slice.requestEnds() - began);
    return isAnswered ? connection.dialect.answer(id, text) : undefined;
  }

  #failed(
    { id, isAnswered, method: name }: Request,
    method: Method | undefined,
    error: unknown,
    { connection, slice }: DialectCall,
    began: number,
  ): string | undefined {
    if (!isExpected(error)) this.#log.error({ err: error, method: name }, "a call failed by a fault of ours");
    const told = toErrorObject(error);
    this.#record(method, (told.data as { class: string }).class, slice.requestEnds() - began);
    return isAnswered ? connection.dialect.error(id, told) : undefined;
  }

  /** Names that are no methods count as one. */
  #record(method: Method | undefined, outcome: string, milliseconds: number): void {
    this.#requests.record(method?.name ?? "unknown", outcome, milliseconds / 1000);
  }

  async #encodeLater(result: Promise<unknown>, call: DialectCall): Promise<Text> {
    return this.#texts.of(await result, call.slice);
  }

  /** One after the other and answered in order; between two of them others have their turns. */
  async #batch(
    { messages }: Batch,
    call: DialectCall,
    counted: (bytes: number) => boolean,
  ): Promise<Text | undefined> {
    const { connection, limits, slice } = call;
    const { dialect } = connection;
    if (messages.length === 0) return dialect.error(undefined, invalidRequest("the batch is empty"));
    if (messages.length > limits["max-batch"]) {
      const most = `a batch may hold at most ${limits["max-batch"]} requests`;
      return dialect.error(undefined, toErrorObject(limitExceeded("max-batch", most)));
    }
    const answers: string[] = [];
    for (const message of messages) {
      if (slice.isOver) await slice.pass();
      const answer = await this.#element(dialect, message, call);
      if (answer === undefined) continue;
      answers.push(answers.length === 0 ? "[" : ",");
      if (typeof answer === "string") answers.push(answer);
      else for (const piece of answer) answers.push(piece);
      if (!counted(lengthOf(answer))) break;
    }
    return answers.length === 0 ? undefined : [...answers, "]"];
  }

  #element(dialect: Dialect, message: unknown, call: DialectCall): Answer {
    const read = dialect.read(message);
    if (read.kind === "request") return this.#request(read, call);
    if (read.kind === "fault") return dialect.error(read.id, read.error);
    return dialect.error(undefined, invalidRequest("expected an object"));
  }
}

/** The parser's own message would repeat the text. */
const NO_JSON = fault(undefined, parseError("the line is not JSON"));

function tooDeep(line: string, limits: Limits): Fault {
  const depth = `a message may nest at most ${limits["max-nesting"]} levels deep`;
  const id = topLevelId(line.slice(0, HEAD)) ?? undefined;
  return fault(id, toErrorObject(limitExceeded("max-nesting", depth)));
}

function fault(id: unknown, error: JSONRPCError): Fault {
  return { kind: "fault", id, error };
}
