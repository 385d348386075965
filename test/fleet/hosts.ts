import type { HostRecord } from "../../src/fleet/record.ts";
import type { FleetStore, StoreChange, WireProfile } from "../../src/fleet/stores/store.ts";
import { finish } from "../../src/ranges/steps.ts";
import { digestOf } from "../../src/rpc/canonical-json.ts";

export const NOW = Date.parse("2026-11-24T12:00:00Z");

/** Of a host with the usual profile, unless `changes` has another digest. */
export function record(host: string, changes: Partial<HostRecord> = {}): HostRecord {
  const at = new Date().toISOString();
  return {
    ...{
      version: 1,
      host,
      digest: profile().digest,
      instance: "i",
      sequence: 1,
      published: at,
      heartbeat: at,
    },
    ...{ interval: 30, publisher: "00000000-0000-4000-8000-000000000001" },
    ...changes,
  };
}

/** Profiles of two models differ, whatever they allow. */
export function profile(model = "d1", last = "0x7fffffffff"): WireProfile {
  const list = [{ start: "0x0", last }];
  const device = {
    ...{ device: "0000:41:00.0", group: 1, iommu: model, "numa-node": null },
    ...{ pci: { vendor: "0x10de", device: "0x20b5" }, assignable: true, available: true },
  };
  return digested({
    ...{ exact: true, "iova-alignment": "0x1000", allowed: list, lists: [list] },
    devices: [{ ...device, exact: true, allowed: 0 }],
  });
}

/** With its digest. */
export function digested(summary: Parameters<typeof digestOf>[0] & object): WireProfile {
  return { ...summary, digest: finish(digestOf(summary)) };
}

/** What a watch tells, one at a time. */
export class Watching {
  readonly #end = new AbortController();
  readonly #changes: AsyncIterator<StoreChange>;

  constructor(store: FleetStore) {
    this.#changes = store.watch(this.#end.signal)[Symbol.asyncIterator]();
  }

  /** The next change of this kind, whatever comes before it. */
  async next<Kind extends StoreChange["kind"]>(
    kind: Kind,
    isIt: (change: Extract<StoreChange, { kind: Kind }>) => boolean = () => true,
  ): Promise<Extract<StoreChange, { kind: Kind }>> {
    for (;;) {
      const { value, done } = await this.#changes.next();
      if (done) throw new Error("the watch has ended");
      if (value.kind !== kind) continue;
      const change = value as Extract<StoreChange, { kind: Kind }>;
      if (isIt(change)) return change;
    }
  }

  /** All up to the first of this kind, that one included. */
  async until(kind: StoreChange["kind"]): Promise<StoreChange[]> {
    const all: StoreChange[] = [];
    for (;;) {
      const { value, done } = await this.#changes.next();
      if (done) throw new Error("the watch has ended");
      all.push(value);
      if (value.kind === kind) return all;
    }
  }

  async end(): Promise<boolean> {
    this.#end.abort();
    return (await this.#changes.next()).done === true;
  }
}
