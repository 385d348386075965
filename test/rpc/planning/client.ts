import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Change } from "../../../src/host/changes.ts";
import { Host } from "../../../src/host/host.ts";
import { SimulatedKernel } from "../../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../../src/kernel/simulated/topology-file.ts";
import { DEFAULT_LIMITS, type Limits } from "../../../src/limits.ts";
import type { DialectCall } from "../../../src/rpc/dialect.ts";
import { ResultTexts } from "../../../src/rpc/encode.ts";
import { isExpected, toErrorObject } from "../../../src/rpc/errors.ts";
import { EventHub } from "../../../src/rpc/event-hub.ts";
import type { Method } from "../../../src/rpc/method.ts";
import { METHODS } from "../../../src/rpc/methods/index.ts";
import { parseParams } from "../../../src/rpc/params.ts";
import { whole } from "../../../src/rpc/text.ts";
import { bystander, type Message } from "../stub.ts";

/** Asks a daemon on a simulated host, over everything but a socket. Answers that break their schema fail the test. */
export class Client {
  readonly host: Host;
  readonly kernel: SimulatedKernel;
  readonly limits: Limits;
  readonly changes: Change[] = [];
  readonly #events = new EventHub();

  constructor(topology: unknown, limits: Partial<Limits> = {}) {
    this.limits = { ...DEFAULT_LIMITS, ...limits };
    this.kernel = new SimulatedKernel(parseTopology(topology));
    this.host = new Host(this.kernel, {
      observer: (change) => {
        this.changes.push(change);
        this.#events.publish(change);
      },
    });
  }

  /** One of the hosts in src/demo/hosts, which are real ones' files. */
  static onDemoHost(name: "amd" | "arm" | "intel", limits: Partial<Limits> = {}): Client {
    const path = new URL(`../../../src/demo/hosts/${name}.json`, import.meta.url);
    return new Client(JSON.parse(readFileSync(path, "utf8")), limits);
  }

  async ask(name: string, params: object = {}): Promise<Message> {
    const { result, error } = await this.#send(name, params);
    assert(error === undefined, `${name}: ${error?.message}`);
    assert.deepEqual(methodNamed(name).result.safeParse(result).error?.issues ?? [], []);
    return result;
  }

  /** The error that a request is refused with. */
  async refusal(name: string, params: object): Promise<Message> {
    const { result, error } = await this.#send(name, params);
    assert(result === undefined, `${name} was answered`);
    return error;
  }

  /** A request that may be refused: `result` or `error`. */
  attempt(name: string, params: object): Promise<Message> {
    return this.#send(name, params);
  }

  async #send(name: string, params: object): Promise<Message> {
    const method = methodNamed(name);
    const call: DialectCall = { ...bystander(), host: this.host, events: this.#events, limits: this.limits };
    try {
      const given = await parseParams(method.params, JSON.parse(JSON.stringify(params)), call.slice);
      const text = await new ResultTexts().of(await method.handler(given, call), call.slice);
      return { result: JSON.parse(whole(text)) };
    } catch (error) {
      assert(isExpected(error), error as Error);
      return { error: toErrorObject(error) };
    }
  }
}

function methodNamed(name: string): Method {
  const method = METHODS.find((each) => each.name === name);
  assert(method, `there is no method ${name}`);
  return method;
}
