import { Iommufd } from "../../kernel/iommufd.ts";
import { ifPossible, type Kernel } from "../../kernel/kernel.ts";
import { VfioDevice } from "../../kernel/vfio.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import type { Loss } from "../changes.ts";
import { Context } from "../contexts/context.ts";
import type { Contexts } from "../contexts/contexts.ts";
import type { DeviceRecord } from "../devices/device-record.ts";
import type { HandedOverDevices } from "../devices/handed-over-devices.ts";
import type { HeldDevice, HeldDevices } from "../devices/held-devices.ts";
import type { Knowledge } from "../knowledge/knowledge.ts";
import { fromIoasKey, read, toNamedRanges, toRangeSet } from "./entries.ts";
import { contextFile, type DescriptorStore, deviceFile, type Journal } from "./journal.ts";
import { readRecords } from "./kept-records.ts";

export interface RestoreParts {
  readonly kernel: Kernel;
  readonly contexts: Contexts;
  readonly devices: HeldDevices;
  readonly handedOver: HandedOverDevices;
  readonly knowledge: Knowledge;
  readonly journal: Journal;
  readonly store: DescriptorStore;
}

/** What an earlier life has left, when the model is again as listeners were told. What of it still holds, see Settlement. */
export interface Legacy {
  /** Undefined where nobody knows what that was. */
  readonly told: readonly DeviceRecord[] | undefined;
  /** Descriptors of the store that nothing in the journal is about. */
  readonly strays: readonly { readonly name: string; readonly fd: number }[];
  /** What the journal has, and the store has not. */
  readonly contextsWithoutFile: readonly Context[];
  readonly devicesWithoutFile: readonly HeldDevice[];
  /** Entries that are about nothing that there is. */
  readonly losses: readonly Loss[];
}

/** No descriptor: every call with it fails. */
const NONE = -1;

/** Makes the model what the journal says; asks no hardware. Undefined when there was no earlier life. */
export function restore(parts: RestoreParts): Legacy | undefined {
  const { journal, store } = parts;
  if (!journal.isInherited && !journal.problem && store.inherited.length === 0) return undefined;
  return new Restoration(parts).run();
}

class Restoration {
  readonly #parts: RestoreParts;
  readonly #unused: Set<{ readonly name: string; readonly fd: number }>;
  readonly #contextsWithoutFile: Context[] = [];
  readonly #devicesWithoutFile: HeldDevice[] = [];
  readonly #losses: Loss[] = [];

  constructor(parts: RestoreParts) {
    this.#parts = parts;
    this.#unused = new Set(parts.store.inherited);
  }

  run(): Legacy {
    const { journal, knowledge } = this.#parts;
    if (journal.problem) this.#lose({ reason: journal.problem });
    this.#contexts();
    this.#ioases();
    this.#devices();
    this.#handedOver();
    knowledge.takeOver({
      learnt: Array.from(read(journal, "learnt"), ([, each]) => ({
        ...each,
        ranges: toRangeSet(each.ranges),
      })),
      refusals: Array.from(read(journal, "refusal"), ([, each]) => each),
      changes: Array.from(read(journal, "changes"), ([of, count]) => [
        /^\d+$/.test(of) ? Number(of) : of,
        count,
      ]),
    });
    return {
      told: journal.isInherited ? readRecords(journal) : undefined,
      strays: [...this.#unused],
      contextsWithoutFile: this.#contextsWithoutFile,
      devicesWithoutFile: this.#devicesWithoutFile,
      losses: this.#losses,
    };
  }

  /** Of the default one there is no entry before it is shared; it is open if its file is there. */
  #contexts(): void {
    const { contexts, journal, kernel } = this.#parts;
    const entries = new Map(read(journal, "context"));
    const looks = new Map(read(journal, "looks"));
    const ioases = Array.from(read(journal, "ioas"), ([about]) => fromIoasKey(about));
    const held = Array.from(read(journal, "held"), ([, { context }]) => context);
    for (const name of new Set([...contexts.all().map((each) => each.name), ...entries.keys()])) {
      const ids = ioases.filter(({ context }) => context === name).map(({ ioas }) => ioas);
      const fd = this.#iommufd(name, ids);
      const isNeeded = entries.has(name) || ids.length > 0 || held.includes(name);
      if (fd === undefined && !isNeeded) continue;
      const { lease = "persistent", owner = null, shared = false } = entries.get(name) ?? {};
      const context = contexts.takeOver(name, lease, owner, new Iommufd(kernel, fd ?? NONE));
      context.shared = shared;
      context.looks = looks.get(name) ?? 1;
      if (fd === undefined) this.#contextsWithoutFile.push(context);
    }
  }

  /** Of several descriptors under the name, the one whose context has most of the IOASes. */
  #iommufd(name: string, ids: readonly number[]): number | undefined {
    const found = [...this.#unused].filter((each) => each.name === contextFile(name));
    const knownTo = (fd: number) =>
      ifPossible(() => {
        const iommufd = new Iommufd(this.#parts.kernel, fd);
        // With no IOAS to ask for, any id tells an iommufd from other files.
        return [0, ...ids].filter((id) => iommufd.isIoas(id)).length;
      });
    const known = found.map((each) => ({ each, count: knownTo(each.fd) ?? NONE }));
    const best = known.sort((a, b) => b.count - a.count)[0];
    if (!best || best.count === NONE) return undefined;
    this.#unused.delete(best.each);
    return best.each.fd;
  }

  #ioases(): void {
    const { contexts, journal } = this.#parts;
    const generations = new Map(read(journal, "generation"));
    const told = new Map(read(journal, "told"));
    const allowLists = new Map(read(journal, "allow-list"));
    for (const [about, { owner }] of read(journal, "ioas")) {
      const { context: name, ioas } = fromIoasKey(about);
      const context = contexts.find(name);
      if (!context) {
        this.#lose({ context: name, ioas, reason: "the journal has no entry for its context" });
        continue;
      }
      const ranges = told.get(about);
      const allowList = allowLists.get(about);
      contexts.takeOverIoas(context, ioas, owner, {
        generation: generations.get(about) ?? 1,
        told: ranges ? toRangeSet(ranges) : RangeSet.ALL,
        allowList: allowList ? toNamedRanges(allowList) : null,
      });
    }
  }

  #devices(): void {
    const { contexts, devices, journal, kernel } = this.#parts;
    for (const [device, { platform, context: name, owner, deviceId }] of read(journal, "held")) {
      const context = contexts.find(name);
      if (!context?.isOpen) {
        this.#lose({ device, context: name, reason: "the journal has no entry for its context" });
        continue;
      }
      const found = [...this.#unused].filter((each) => each.name === deviceFile(device));
      const bound = found.find(({ fd }) => new VfioDevice(kernel, fd).isBound);
      if (bound) this.#unused.delete(bound);
      const vfio = new VfioDevice(kernel, bound?.fd ?? NONE);
      const held: HeldDevice = { platform, context, owner, vfio, deviceId, ioas: null };
      devices.takeOver(held);
      if (!bound) this.#devicesWithoutFile.push(held);
    }
    for (const [device, id] of read(journal, "attached")) {
      const held = devices.get(device);
      const ioas = held?.context.ioases.get(id);
      if (!held || !ioas) {
        const reason = "it was attached, and the journal has no entry for the device or the IOAS";
        this.#lose({ device, ioas: id, reason });
        continue;
      }
      held.ioas = ioas;
      ioas.devices.add(device);
    }
  }

  #handedOver(): void {
    const { contexts, handedOver, journal } = this.#parts;
    const over = new Map<string, Context>();
    for (const [, { platform, context: name, isOver, owner }] of read(journal, "handed-over")) {
      const context = (!isOver && contexts.find(name)) || over.get(name) || closedContext(name);
      if (context.isOver) over.set(name, context);
      handedOver.takeOver({ platform, context, owner, passage: { isUnderWay: false } });
    }
  }

  #lose(loss: Loss): void {
    this.#losses.push(loss);
  }
}

/** One that has ended, and lives on in the name that its devices were handed over with. */
function closedContext(name: string): Context {
  const refuse = () => {
    throw new TypeError(`context "${name}" has ended`);
  };
  const context = new Context(name, "persistent", null, {
    open: refuse,
    forget: async () => {},
    grown: () => {},
  });
  context.isOver = true;
  return context;
}
