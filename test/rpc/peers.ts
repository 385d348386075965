import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { type AccessRules, accessPolicy, type Peer } from "../../src/access/policy.ts";
import { Host } from "../../src/host/host.ts";
import { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import { DEFAULT_LIMITS, type Limits } from "../../src/limits.ts";
import { qmp } from "../../src/rpc/dialects/qmp.ts";
import { EventHub } from "../../src/rpc/event-hub.ts";
import { METHODS } from "../../src/rpc/methods/index.ts";
import { RpcServer } from "../../src/rpc/server.ts";
import { Client, type Message, request } from "./stub.ts";

export const DEVICE = "0000:00:05.0";
export const OTHER = "0000:00:06.0";
/** Two functions of one IOMMU group. */
export const [TWIN, SIBLING] = ["0000:00:07.0", "0000:00:07.1"];

const TOPOLOGY = {
  iommus: [{ name: "dmar0" }],
  devices: [
    { device: DEVICE, iommu: "dmar0", group: 1, driver: "vfio-pci" },
    { device: OTHER, iommu: "dmar0", group: 2, driver: "vfio-pci" },
    { device: TWIN, iommu: "dmar0", group: 3, driver: "vfio-pci" },
    { device: SIBLING, iommu: "dmar0", group: 3, driver: "vfio-pci" },
  ],
};

/** Uids and gids that the rules of the daemon in these tests know. */
export const ADMIN = 1001;
export const OTHER_ADMIN = 1002;
export const OBSERVER = 2001;
export const STRANGER = 3001;
export const ADMIN_GROUP = 1100;
export const OBSERVER_GROUP = 2100;

const RULES: AccessRules = {
  controlUsers: [ADMIN, OTHER_ADMIN],
  controlGroups: [ADMIN_GROUP],
  observeUsers: [OBSERVER],
  observeGroups: [OBSERVER_GROUP],
};

/** A client that asks one thing at a time. */
export class Asker extends Client {
  /** Every notification that came before an answer. */
  readonly notifications: Message[] = [];
  #id = 0;

  /** The whole answer to a request. */
  async ask(method: string, params?: unknown): Promise<Message> {
    this.send({ ...request(++this.#id, method), ...(params === undefined ? {} : { params }) });
    for (;;) {
      const message = await this.next();
      if (message === undefined || "id" in message) return message;
      this.notifications.push(message);
    }
  }

  /** The result of a request that succeeds. */
  async get(method: string, params?: object): Promise<Message> {
    const { result, error } = await this.ask(method, params);
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  /** The class of the error that a request is refused with, or what it gave instead. */
  async outcome(method: string, params?: unknown): Promise<string> {
    const { error } = await this.ask(method, params);
    if (error === undefined) return "done";
    return error.data?.class ?? String(error.code);
  }
}

/** Every method of the daemon on a simulated host, for peers whose credentials a test makes up. */
export async function startDaemon(given: Partial<Limits> = {}) {
  const directory = mkdtempSync(join(tmpdir(), "iovad-peers-"));
  const path = join(directory, "s");
  const log: Message[] = [];
  const limits = { ...DEFAULT_LIMITS, ...given };
  const events = new EventHub({ limits });
  const host = new Host(new SimulatedKernel(parseTopology(TOPOLOGY)), {
    observer: (change) => events.publish(change),
    limits,
  });
  let peer: Peer | null = null;
  const server = new RpcServer({
    access: { peerOf: () => peer, roleOf: accessPolicy(RULES, { uid: 990, socketGroup: () => 991 }) },
    methods: METHODS,
    host,
    events,
    backend: "simulated",
    version: "0",
    log: pino({ level: "info", base: null }, { write: (line: string) => void log.push(JSON.parse(line)) }),
    limits,
  });
  await server.listen(path);
  const qmpPath = join(directory, "q");
  await server.listen(qmpPath, 0o600, qmp);
  const clients: Asker[] = [];
  /** A client with its first line; its credentials are taken when it is accepted, hence one at a time. */
  const dial = async (credentials: Partial<Peer> | null, text = "") => {
    peer = credentials && { pid: 77, uid: STRANGER, gid: STRANGER, groups: [], ...credentials };
    const client = new Asker(path);
    clients.push(client);
    client.write(text);
    const first: Message = await client.next();
    return { client, first };
  };
  return {
    host,
    log,
    path,
    qmpPath,
    dial,
    /** Who connects next, in whatever way. */
    nextPeer(credentials: Partial<Peer>): void {
      peer = { pid: 77, uid: STRANGER, gid: STRANGER, groups: [], ...credentials };
    },
    /** A client that has read its greeting. */
    async connect(uid: number, credentials: Partial<Peer> = {}): Promise<Asker> {
      const { client, first } = await dial({ uid, ...credentials });
      if (first?.method !== "greeting") throw new Error(`not let in: ${JSON.stringify(first)}`);
      return client;
    },
    async stop(): Promise<void> {
      for (const client of clients) client.socket.destroy();
      await server.close();
      await host.close();
      rmSync(directory, { recursive: true });
    },
  };
}
