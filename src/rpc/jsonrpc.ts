import {
  createJSONRPCErrorResponse,
  createJSONRPCSuccessResponse,
  type JSONRPCError,
  type JSONRPCErrorResponse,
  type JSONRPCID,
  type JSONRPCRequest,
  type JSONRPCResponse,
  JSONRPCServer,
} from "json-rpc-2.0";
import { type HostError, limitExceeded } from "../host/errors.ts";
import type { ControlLog } from "./control-log.ts";
import { Encoder } from "./encoder.ts";
import { invalidRequest, isExpected, methodNotFound, parseError, toErrorObject } from "./errors.ts";
import { execute } from "./execute.ts";
import type { Call, Method } from "./method.ts";
import { nestsWithin } from "./nesting.ts";
import { idOf, requestFault } from "./request.ts";

/** What to send for a message: nothing for a notification, and a promise only when a handler has to wait. */
export type Answer<T = string | undefined> = T | Promise<T>;

export interface MessageLimits {
  /** Requests in one batch. */
  readonly batch: number;
  /** Levels of arrays and objects in a message. */
  readonly nesting: number;
}

/** A request on its way through the engine. `response` is there as soon as a handler has answered on the spot. */
interface Exchange {
  readonly call: Call;
  response?: JSONRPCResponse | null;
}

/**
 * What the engine is handed when the response is in the exchange already: a promise that drops its callbacks, so that
 * the engine's own, which nobody awaits then, costs no turn of the microtask queue. The engine wraps what is no Promise.
 */
const ANSWERED: Promise<null> = Object.create(Promise.prototype, {
  // biome-ignore lint/suspicious/noThenProperty: a thenable is what the engine takes
  then: {
    value(): Promise<null> {
      return this;
    },
  },
});

/** JSON-RPC 2.0 from text to text, over the json-rpc-2.0 package with its gaps closed. */
export class JsonRpc {
  readonly #engine: JSONRPCServer<Exchange>;
  readonly #encoder = new Encoder();
  readonly #limits: MessageLimits;
  readonly #report: (message: string, error: unknown) => void;
  readonly #log: ControlLog;

  /** `report` gets the errors that clients are told nothing about. */
  constructor(
    methods: readonly Method[],
    limits: MessageLimits,
    report: (message: string, error: unknown) => void,
    log: ControlLog,
  ) {
    this.#limits = limits;
    this.#report = report;
    this.#log = log;
    this.#engine = new JSONRPCServer<Exchange>({
      errorListener: (message, error) => {
        if (!isExpected(error)) report(message, error);
      },
    });
    this.#engine.mapErrorToJSONRPCErrorResponse = (id, error) => failure(id, toErrorObject(error));
    this.#engine.handleMethodNotFound = async ({ id, method }) =>
      id === undefined ? null : failure(id, methodNotFound(method));
    for (const method of methods) this.#add(method);
  }

  /** Answers one line. Never throws and never rejects. */
  answer(text: string, call: Call): Answer {
    if (!nestsWithin(text, this.#limits.nesting)) {
      const limit = `a message may nest at most ${this.#limits.nesting} levels deep`;
      return this.#encode(failure(null, toErrorObject(limitExceeded("max-nesting", limit))));
    }
    const message = parse(text);
    // The parser's own message would repeat the text.
    if (message === undefined) return this.#encode(failure(null, parseError("the line is not JSON")));
    if (Array.isArray(message)) return this.#batch(message, call);
    const response = this.#single(message, call);
    return response instanceof Promise
      ? response.then((settled) => this.#encode(settled))
      : this.#encode(response);
  }

  /** Answers a line that is one too many with `error`: nothing of it runs. */
  refuse(text: string, error: HostError): string | undefined {
    const message = nestsWithin(text, this.#limits.nesting) ? parse(text) : undefined;
    const isNotification =
      requestFault(message) === undefined && (message as JSONRPCRequest).id === undefined;
    return isNotification ? undefined : this.#encode(failure(idOf(message), toErrorObject(error)));
  }

  /** A handler that waits answers by the engine's promise; any other is done before the engine returns. */
  #add(method: Method): void {
    this.#engine.addMethodAdvanced(method.name, (request, exchange) => {
      const result = execute(method, request.params, exchange.call, this.#log);
      if (result instanceof Promise) return result.then((settled) => respond(request.id, settled));
      exchange.response = respond(request.id, result);
      return ANSWERED;
    });
  }

  #single(message: unknown, call: Call): Answer<JSONRPCResponse | null> {
    const fault = requestFault(message);
    if (fault !== undefined) return failure(idOf(message), invalidRequest(fault));
    const exchange: Exchange = { call };
    const pending = this.#engine.receive(message as JSONRPCRequest, exchange);
    return exchange.response === undefined ? Promise.resolve(pending) : exchange.response;
  }

  /** One after the other and answered in order, unlike the engine's own batches. */
  #batch(messages: readonly unknown[], call: Call): Answer {
    if (messages.length === 0) return this.#encode(failure(null, invalidRequest("the batch is empty")));
    if (messages.length > this.#limits.batch) {
      const limit = `a batch may hold at most ${this.#limits.batch} requests`;
      return this.#encode(failure(null, toErrorObject(limitExceeded("max-batch", limit))));
    }
    return this.#sequence(messages, call);
  }

  async #sequence(messages: readonly unknown[], call: Call): Promise<string | undefined> {
    const responses: string[] = [];
    for (const message of messages) {
      const response = this.#encode(await this.#single(message, call));
      if (response !== undefined) responses.push(response);
    }
    return responses.length === 0 ? undefined : `[${responses.join(",")}]`;
  }

  #encode(response: JSONRPCResponse | null): string | undefined {
    if (response === null) return undefined;
    try {
      return this.#encoder.encode(response);
    } catch (error) {
      this.#report("A result is not JSON:", error);
      return JSON.stringify(failure(response.id, toErrorObject(error)));
    }
  }
}

/** Undefined for what is no JSON: no JSON text stands for that. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function respond(id: JSONRPCID | undefined, result: unknown): JSONRPCResponse | null {
  return id === undefined ? null : createJSONRPCSuccessResponse(id, result);
}

function failure(id: JSONRPCID, { code, message, data }: JSONRPCError): JSONRPCErrorResponse {
  return createJSONRPCErrorResponse(id, code, message, data);
}
