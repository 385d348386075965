import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { snapshot } from "../../src/fleet/follow.ts";
import { openStore } from "../../src/fleet/stores/open.ts";
import { IS_LONG } from "../runs.ts";
import { HAS_NATS } from "./nats-server.ts";
import { startPublisher } from "./publishing.ts";

/** It makes network namespaces: for root, with the long tests. */
const CAN_RUN = IS_LONG && HAS_NATS && process.getuid?.() === 0 && spawnSync("ip", ["netns"]).status === 0;

const BRIDGE = "iovadbr0";
const address = (n: number) => `10.213.77.${n}`;
const NODES = [11, 12, 13];
const servers = NODES.map((n) => `nats://${address(n)}:4222`);
const replicas = 3;

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync("ip", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr}`);
}

describe.skipIf(!CAN_RUN)("a cluster of three servers, each in a network of its own,", () => {
  let directory: string;
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "iovad-cluster-"));
    ip("link", "add", BRIDGE, "type", "bridge");
    ip("addr", "add", `${address(1)}/24`, "dev", BRIDGE);
    ip("link", "set", BRIDGE, "up");
    for (const n of NODES) {
      ip("netns", "add", `iovad${n}`);
      ip("link", "add", `iovadv${n}`, "type", "veth", "peer", "name", "eth0", "netns", `iovad${n}`);
      ip("link", "set", `iovadv${n}`, "master", BRIDGE, "up");
      ip("-n", `iovad${n}`, "addr", "add", `${address(n)}/24`, "dev", "eth0");
      ip("-n", `iovad${n}`, "link", "set", "eth0", "up");
    }
    await Promise.all(NODES.map(startServer));
  });

  afterAll(async () => {
    for (const child of children) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    for (const n of NODES) {
      spawnSync("ip", ["link", "del", `iovadv${n}`]);
      spawnSync("ip", ["netns", "del", `iovad${n}`]);
    }
    spawnSync("ip", ["link", "del", BRIDGE]);
    rmSync(directory, { recursive: true, force: true });
  });

  async function startServer(n: number): Promise<void> {
    const routes = NODES.map((other) => `nats://${address(other)}:6222`).join(",");
    const cluster = ["--cluster_name", "iovad", "--cluster", `nats://${address(n)}:6222`, "--routes", routes];
    const child = spawn(
      "ip",
      [
        ...["netns", "exec", `iovad${n}`, "nats-server", "-n", `iovad${n}`, "-a", address(n), "-p", "4222"],
        ...["-js", "-sd", join(directory, `${n}`), ...cluster],
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    children.push(child);
    for await (const line of createInterface({ input: child.stderr }))
      if (line.includes("Server is ready")) break;
    child.stderr.resume();
  }

  it("goes on with publishers and questions when any one of them is cut off", async () => {
    const ends: (() => Promise<void>)[] = [];
    // One beside each server, which it prefers.
    const publishers = servers.map((url, at) => {
      const order = [url, ...servers.filter((each) => each !== url)];
      const openStoreNear = () => openStore({ servers: order, replicas });
      return startPublisher(ends, { host: `n${at}`, interval: 2, openStore: openStoreNear });
    });
    const states = async () => {
      try {
        const store = await openStore({ servers, replicas });
        try {
          const fleet = await snapshot(store, Date.now);
          return fleet.hosts(Date.now()).map(({ state, age }) => (age !== null && age < 4 ? state : "old"));
        } finally {
          await store.close();
        }
      } catch (error) {
        return [(error as Error).message];
      }
    };
    const allFresh = () =>
      vi.waitUntil(async () => (await states()).join() === "fresh,fresh,fresh", {
        interval: 500,
        timeout: 90_000,
      });
    try {
      await allFresh();
      for (const n of NODES) {
        ip("link", "set", `iovadv${n}`, "down");
        // Until what was written before the cut is old; where no publisher was cut off with it, that may not come.
        await vi
          .waitUntil(async () => (await states()).join() !== "fresh,fresh,fresh", {
            interval: 500,
            timeout: 30_000,
          })
          .catch(() => {});
        await allFresh();
        ip("link", "set", `iovadv${n}`, "up");
        await allFresh();
      }
      for (const { said } of publishers) {
        expect(said.some((message) => message.startsWith("published"))).toBe(true);
      }
    } finally {
      for (const n of NODES) spawnSync("ip", ["link", "set", `iovadv${n}`, "up"]);
      for (const end of ends) await end();
    }
  });
});
