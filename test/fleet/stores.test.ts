import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { snapshot } from "../../src/fleet/follow.ts";
import type { HostRecord } from "../../src/fleet/record.ts";
import { openStore, type StoreOptions } from "../../src/fleet/stores/open.ts";
import type { FleetStore, WireProfile } from "../../src/fleet/stores/store.ts";
import { profile, record, Watching } from "./hosts.ts";
import { HAS_NATS, NatsServer } from "./nats-server.ts";

/** What every store does. */
function behavesAsAStore(fresh: () => StoreOptions, forget: () => void | Promise<void>): void {
  let store: FleetStore;
  const stores: FleetStore[] = [];
  const another = async () => {
    const other = await openStore(fresh());
    stores.push(other);
    return other;
  };
  beforeEach(async () => {
    store = await another();
  });
  afterEach(async () => {
    for (const each of stores.splice(0)) await each.close();
    await forget();
  });

  it("gives back what a host has published last, and knows when", async () => {
    const before = Date.now();
    expect(await store.read("n1")).toBeUndefined();
    await store.publish(record("n1"), profile(), true);
    await store.publish(record("n1", { sequence: 2 }), profile(), false);
    const value = await (await another()).read("n1");
    expect(JSON.parse(value?.text ?? "")).toMatchObject({
      host: "n1",
      digest: profile().digest,
      sequence: 2,
    });
    expect(value?.stored).toBeGreaterThan(before - 5000);
    expect(value?.stored).toBeLessThan(Date.now() + 5000);
  });

  it("shows a reader all hosts with their profiles", async () => {
    await store.publish(record("n1"), profile(), true);
    await store.publish(record("n2"), profile(), true);
    const narrow = profile("d2", "0xffff");
    await store.publish(record("n3", { digest: narrow.digest }), narrow, true);
    const hosts = (await snapshot(await another(), Date.now)).hosts(Date.now());
    expect(hosts.map(({ host, state, digest }) => [host, state, digest])).toEqual([
      ["n1", "fresh", profile().digest],
      ["n2", "fresh", profile().digest],
      ["n3", "fresh", narrow.digest],
    ]);
    expect(hosts[0]?.profile?.allowed).toBe(hosts[1]?.profile?.allowed);
    expect(hosts[2]?.profile?.allowed.hull()).toEqual({ start: 0n, last: 0xffffn });
  });

  it("tells what there is, then what changes, and ends with the signal", async () => {
    await store.publish(record("n1"), profile(), true);
    const watching = new Watching(await another());
    const first = await watching.until("settled");
    expect(first.map(({ kind }) => kind)).toEqual(["begin", "host", "settled"]);
    const other = profile("d2");
    await store.publish(record("n2", { digest: other.digest }), other, true);
    const told = await watching.next("host", ({ host }) => host === "n2");
    expect(JSON.parse(told.text).digest).toBe(other.digest);
    await store.publish(record("n1", { sequence: 9 }), profile(), false);
    expect(JSON.parse((await watching.next("host", ({ host }) => host === "n1")).text).sequence).toBe(9);
    expect(await watching.end()).toBe(true);
  });

  it("tells of a host that has gone, and does not show it any more", async () => {
    await store.publish(record("n1"), profile(), true);
    await store.publish(record("n2"), profile(), true);
    const watching = new Watching(store);
    await watching.next("settled");
    await store.remove("n1");
    expect(await watching.next("gone")).toEqual({ kind: "gone", host: "n1" });
    await watching.end();
    expect(await store.read("n1")).toBeUndefined();
    expect((await snapshot(await another(), Date.now)).names).toEqual(["n2"]);
    await store.remove("n1");
    await store.remove("never-there");
  });

  it("takes garbage under a host's name for a host of which nothing is known", async () => {
    await store.publish(record("n1"), profile(), true);
    await store.publish({ host: "n2", publisher: "p" } as HostRecord, {} as WireProfile, false);
    const hosts = (await snapshot(store, Date.now)).hosts(Date.now());
    expect(hosts.map(({ host, state }) => [host, state])).toEqual([
      ["n1", "fresh"],
      ["n2", "unreadable"],
    ]);
  });

  it("comes to an end with what there is, however busy its hosts are", async () => {
    const reader = await another();
    for (const host of ["n1", "n2"]) await store.publish(record(host), profile(), true);
    let isOver = false;
    const beating = (async () => {
      while (!isOver) await store.publish(record("n1"), profile(), false);
    })();
    try {
      for (let n = 0; n < 20; n++) expect((await snapshot(reader, Date.now)).names).toEqual(["n1", "n2"]);
    } finally {
      isOver = true;
      await beating;
    }
  });

  it("has names with dots in them", async () => {
    await store.publish(record("node-17.rack_4.example"), profile(), true);
    expect((await snapshot(store, Date.now)).names).toEqual(["node-17.rack_4.example"]);
  });
}

describe("a directory", () => {
  let directory = "";
  behavesAsAStore(
    () => {
      directory ||= mkdtempSync(join(tmpdir(), "iovad-fleet-"));
      return { directory };
    },
    () => {
      rmSync(directory, { recursive: true });
      directory = "";
    },
  );

  it("waits for no file that has no end, and reads none that is too long for a host's", async () => {
    directory = mkdtempSync(join(tmpdir(), "iovad-fleet-"));
    const store = await openStore({ directory });
    await store.publish(record("n1"), profile(), true);
    execFileSync("mkfifo", [join(directory, "fifo.json")]);
    symlinkSync("/dev/zero", join(directory, "zeros.json"));
    writeFileSync(join(directory, "long.json"), "");
    truncateSync(join(directory, "long.json"), 2 ** 32);
    const hosts = (await snapshot(store, Date.now)).hosts(Date.now());
    expect(hosts.map(({ host, state }) => [host, state])).toEqual([
      ["fifo", "unreadable"],
      ["long", "unreadable"],
      ["n1", "fresh"],
      ["zeros", "unreadable"],
    ]);
    expect(await store.read("fifo")).toMatchObject({ text: "" });
  });
});

describe.skipIf(!HAS_NATS)("NATS", () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server.stop());
  behavesAsAStore(
    () => ({ servers: [server.url], replicas: 1 }),
    () => server.forget(),
  );
});
