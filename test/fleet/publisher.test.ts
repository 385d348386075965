import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { snapshot } from "../../src/fleet/follow.ts";
import type { PublisherOptions } from "../../src/fleet/publisher.ts";
import type { HostRecord } from "../../src/fleet/record.ts";
import { DirectoryStore } from "../../src/fleet/stores/directory.ts";
import type { FleetStore, StoredValue } from "../../src/fleet/stores/store.ts";
import { profile } from "./hosts.ts";
import { startPublisher, until } from "./publishing.ts";

/** A directory that counts what is published into it. */
class CountingStore extends DirectoryStore {
  readonly published: { record: HostRecord; renew: boolean }[] = [];
  failure: Error | undefined;

  override async publish(record: HostRecord, profile: never, renew?: boolean): Promise<void> {
    if (this.failure) throw this.failure;
    await super.publish(record, profile);
    this.published.push({ record, renew: renew === true });
  }
}

let directory: string;
let store: CountingStore;
const ends: (() => Promise<void>)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-fleet-"));
  store = new CountingStore(directory);
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  rmSync(directory, { recursive: true });
});

/** As Promise.withResolvers(), which Node.js 20 does not have. */
function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

const start = (changes: Partial<PublisherOptions> = {}) =>
  startPublisher(ends, { openStore: async () => store, ...changes });
const written = (): Record<string, unknown> => JSON.parse(readFileSync(join(directory, "n1.json"), "utf8"));

describe("a publisher", () => {
  it("publishes at once, with the profile and what the host is called", async () => {
    start();
    await until(() => store.published.length === 1);
    expect(written()).toMatchObject({
      host: "n1",
      digest: profile().digest,
      instance: "i",
      exact: true,
      interval: 3600,
    });
  });

  it("publishes what an event has changed, and nothing for an event that has changed nothing", async () => {
    const { daemon } = start();
    await until(() => store.published.length === 1);
    const asked = daemon.asked;
    daemon.event();
    await until(() => daemon.asked > asked);
    daemon.model = "d2";
    daemon.event();
    await until(() => store.published.length > 1);
    expect(store.published.map(({ record, renew }) => [record.digest, renew])).toEqual([
      [profile("d1").digest, true],
      [profile("d2").digest, true],
    ]);
  });

  it("has its heart beat without publishing the profile again", async () => {
    start({ interval: 0.02 });
    await until(() => store.published.length > 3);
    const [first, second, third] = store.published;
    expect([first?.renew, second?.renew, third?.renew]).toEqual([true, false, false]);
    expect(third?.record.published).toBe(first?.record.published);
    expect(Date.parse(`${third?.record.heartbeat}`)).toBeGreaterThan(
      Date.parse(`${first?.record.heartbeat}`),
    );
  });

  it("publishes nothing while the daemon does not answer, says so once, and goes on when it does", async () => {
    const { daemon, said } = start({ interval: 0.02 });
    await until(() => store.published.length > 0);
    daemon.failure = new Error("no daemon");
    await until(() => said.includes("no daemon"));
    const { length } = store.published;
    const asked = daemon.asked;
    await until(() => daemon.asked > asked + 1);
    expect(store.published).toHaveLength(length);
    daemon.failure = undefined;
    await until(() => store.published.length > length);
    expect(said.filter((message) => message === "no daemon")).toHaveLength(1);
    expect(said.at(-1)).toBe("all is well again");
  });

  it("publishes what it could not when the store is back", async () => {
    store.failure = new Error("no store");
    const { said } = start();
    await until(() => said.includes("no store"));
    store.failure = undefined;
    await until(() => store.published.length === 1);
  });

  it("asks a store that fails no oftener for the events of a burst", async () => {
    vi.useFakeTimers();
    try {
      let opened = 0;
      const { daemon, end } = start({
        random: () => 1,
        openStore: async () => {
          opened++;
          throw new Error("no store");
        },
      });
      for (let at = 0; at < 100; at++) {
        daemon.event();
        await vi.advanceTimersByTimeAsync(20);
      }
      // At once, and after 50, 100, 200, 400 and 800 milliseconds; the next wait is not over.
      expect(opened).toBe(6);
      await end();
    } finally {
      vi.useRealTimers();
    }
  });

  it("publishes also while its labels cannot be written, says so, and writes them when they can", async () => {
    const labelled: string[] = [];
    let failure: Error | undefined = new Error("no labels");
    const changed: PublisherOptions["changed"] = async ({ digest }) => {
      if (failure) throw failure;
      labelled.push(digest);
    };
    const { said } = start({ interval: 0.02, changed });
    await until(() => store.published.length > 3);
    expect(said).toContain("no labels");
    failure = undefined;
    await until(() => labelled.length > 0);
    const { length } = store.published;
    await until(() => store.published.length > length + 2);
    expect(labelled).toEqual([profile().digest]);
  });

  it("publishes whole what the store has lost", async () => {
    const { said } = start({ interval: 0.02 });
    await until(() => store.published.length > 1);
    // Again and again: a file that is lost while it is written is there at once.
    await until(() => {
      rmSync(join(directory, "n1.json"), { force: true });
      return said.some((message) => message.includes("has lost n1"));
    });
    await until(() => store.published.filter(({ renew }) => renew).length > 1);
  });

  it("makes the directory that it publishes into, and nothing above it", async () => {
    const made = new CountingStore(join(directory, "fleet"));
    start({ openStore: async () => made });
    await until(() => made.published.length === 1);
    const { said } = start({ openStore: async () => new CountingStore(join(directory, "no", "fleet")) });
    await until(() => said.some((message) => message.includes("there is no directory")));
  });

  it("is gone when it ends, and not stale", async () => {
    const { end } = start();
    await until(() => store.published.length === 1);
    await end();
    expect((await snapshot(store, Date.now)).names).toEqual([]);
  });

  it("ends also when neither the daemon nor the store answers", async () => {
    const { end } = start({ openStore: () => new Promise(() => {}) });
    await end();
    expect(store.published).toEqual([]);
  });

  it("takes another daemon's profile for another, though it says the same", async () => {
    const { daemon } = start();
    await until(() => store.published.length === 1);
    daemon.instance = "after a restart";
    daemon.event();
    await until(() => store.published.length === 2);
    expect(written().instance).toBe("after a restart");
  });
});

/** A store that answers within a turn of the loop. */
class QuickStore {
  readonly place = "memory";
  readonly texts = new Map<string, string>();
  isClosed = false;

  readonly open = async () => this as unknown as FleetStore;

  async publish(record: HostRecord): Promise<void> {
    this.texts.set(record.host, JSON.stringify(record));
  }

  async read(host: string): Promise<StoredValue | undefined> {
    const text = this.texts.get(host);
    return text === undefined ? undefined : { text, stored: 0 };
  }

  async remove(host: string): Promise<void> {
    this.texts.delete(host);
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}

describe("a publisher that ends", () => {
  it("publishes and writes nothing any more, whatever the daemon answers then", async () => {
    const quick = new QuickStore();
    const labelled: string[] = [];
    const { daemon, end } = start({
      openStore: quick.open,
      changed: async ({ digest }) => void labelled.push(digest),
    });
    await until(() => quick.texts.size === 1);
    const { asked } = daemon;
    const { promise, resolve: answer } = withResolvers();
    daemon.answers = promise;
    daemon.model = "d2";
    daemon.event();
    await until(() => daemon.asked > asked);
    await end();
    answer();
    await nextTurn();
    expect([...quick.texts.keys()]).toEqual([]);
    expect(labelled).toEqual([profile("d1").digest]);
  });

  it("publishes nothing into a store that opens only then, and closes it", async () => {
    const quick = new QuickStore();
    const { promise, resolve: opens } = withResolvers();
    let isAsked = false;
    const { end } = start({
      openStore: async () => {
        isAsked = true;
        await promise;
        return quick.open();
      },
    });
    await until(() => isAsked);
    await end();
    opens();
    await nextTurn();
    expect([quick.texts.size, quick.isClosed]).toEqual([0, true]);
  });

  it("has its labels written before, for whoever removes them then", async () => {
    const done: string[] = [];
    const { promise, resolve: writes } = withResolvers();
    let isAsked = false;
    const { end } = start({
      openStore: new QuickStore().open,
      changed: async () => {
        isAsked = true;
        await promise;
        done.push("labels");
      },
    });
    await until(() => isAsked);
    const ended = end().then(() => done.push("end"));
    await nextTurn();
    writes();
    await ended;
    expect(done).toEqual(["labels", "end"]);
  });

  it("says of no trouble that it is over while it does not know", async () => {
    let opened = 0;
    const { said, end } = start({
      openStore: () => (opened++ === 0 ? Promise.reject(new Error("no store")) : new Promise(() => {})),
    });
    await until(() => opened === 2);
    await end();
    expect(said).toEqual(["no store"]);
  });
});

describe("two publishers of one name", () => {
  it("both say so, nothing they say counts as certain, and the one that stays is believed again", async () => {
    // Long enough that three of them are not over before the other one had its turn.
    const one = start({ interval: 0.3 });
    await until(() => store.published.length > 0);
    const two = start({ interval: 0.3 });
    const rivals = (said: string[]) =>
      said.filter((message) => message.includes("another iovad-fleet publishes"));
    await until(() => rivals(one.said).length > 0 && rivals(two.said).length > 0);
    await until(() => written().contested === true);
    const fleet = await snapshot(store, Date.now);
    expect(fleet.host("n1", Date.now())).toMatchObject({ state: "stale" });
    expect(fleet.troubles(Date.now()).join()).toContain("two iovad-fleet publish under its name");
    await one.end();
    await until(() => two.said.some((message) => message.startsWith("nobody else publishes")));
    await until(() => written().contested === undefined);
    expect([rivals(one.said).length, rivals(two.said).length]).toEqual([1, 1]);
  });

  it("do not take each other out of the store", async () => {
    const one = start();
    await until(() => store.published.length === 1);
    const two = start();
    await until(() => store.published.length === 2);
    await one.end();
    expect(written().host).toBe("n1");
    await two.end();
    expect((await snapshot(store, Date.now)).names).toEqual([]);
  });
});
