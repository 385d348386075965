import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Host } from "../../../src/host/host.ts";
import { SimulatedKernel } from "../../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../../src/kernel/simulated/topology.ts";
import { JsonRpc } from "../../../src/rpc/jsonrpc.ts";
import type { Call } from "../../../src/rpc/method.ts";
import { METHODS } from "../../../src/rpc/methods/index.ts";
import type { Message } from "../stub.ts";

const LIMITS = { batch: 100, nesting: 64 };

/** Asks a daemon on a simulated host, over everything but a socket. Answers that break their schema fail the test. */
export class Client {
  readonly host: Host;
  readonly #rpc = new JsonRpc(METHODS, LIMITS, (message, error) => {
    throw new Error(message, { cause: error });
  });

  constructor(topology: unknown) {
    this.host = new Host(new SimulatedKernel(parseTopology(topology)));
  }

  /** One of the hosts in src/demo/hosts, which are real ones' files. */
  static onDemoHost(name: "amd" | "arm" | "intel"): Client {
    const path = new URL(`../../../src/demo/hosts/${name}.json`, import.meta.url);
    return new Client(JSON.parse(readFileSync(path, "utf8")));
  }

  async ask(name: string, params: object = {}): Promise<Message> {
    const { result, error } = await this.#send(name, params);
    assert(error === undefined, `${name}: ${error?.message}`);
    const method = METHODS.find((each) => each.name === name);
    assert.deepEqual(method?.result.safeParse(result).error?.issues ?? [], []);
    return result;
  }

  /** The error that a request is refused with. */
  async refusal(name: string, params: object): Promise<Message> {
    const { result, error } = await this.#send(name, params);
    assert(result === undefined, `${name} was answered`);
    return error;
  }

  async #send(method: string, params: object): Promise<Message> {
    const line = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const call = { host: this.host } as Call;
    return JSON.parse((await this.#rpc.answer(line, call)) as string);
  }
}
