import { setImmediate as nextTurn } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import { jsonRpc } from "../../src/rpc/dialects/json-rpc.ts";
import { EventHub } from "../../src/rpc/event-hub.ts";
import { JournalFile } from "../../src/service/journal-file.ts";
import { Memory } from "../host/survival/world.ts";

const BYTES = 1 << 20;

describe("an event that nobody has seen to its being kept", () => {
  let files: readonly [Memory, Memory];
  let hub: EventHub;

  beforeEach(() => {
    files = [new Memory(), new Memory()];
    const journal = new JournalFile(files);
    hub = new EventHub({ journal });
    hub.publish({ event: "IOAS_CREATED", context: "default", ioas: 1 });
  });

  /** What a process would know that came now. */
  const kept = () => {
    const left = files.map((file) => Object.assign(new Memory(), { bytes: Buffer.from(file.bytes) }));
    return new EventHub({ journal: new JournalFile(left as [Memory, Memory]) }).log.sequence;
  };

  it("is kept with the next turn of the loop, with nobody who reads it", async () => {
    expect(kept()).toBe(0);
    await nextTurn();
    expect(kept()).toBe(1);
  });

  it.each<[string, () => unknown]>([
    ["its number", () => hub.sequence],
    ["whether it is remembered", () => hub.remembers({ instance: hub.instance, sequence: 1 })],
    ["it", () => [...hub.log.after(0)]],
    ["its line", () => hub.log.lines(0, jsonRpc, BYTES, null)],
    ["its bytes", () => hub.log.piece(0, jsonRpc, BYTES, null)],
  ])("is kept before anybody is told %s", (_what, read) => {
    expect(kept()).toBe(0);
    expect(read()).toBeTruthy();
    expect(kept()).toBe(1);
  });
});
