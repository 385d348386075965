import { ifPossible, type Kernel } from "../../kernel/kernel.ts";
import type { End, Loss, Tell } from "../changes.ts";
import type { Context } from "../contexts/context.ts";
import { type Contexts, DEFAULT_CONTEXT } from "../contexts/contexts.ts";
import { PATIENCE } from "../contexts/discovery.ts";
import { IoasChange } from "../contexts/ioas-change.ts";
import type { Verifier } from "../contexts/verifier.ts";
import type { Attachments } from "../devices/attachments.ts";
import type { HeldDevice, HeldDevices } from "../devices/held-devices.ts";
import type { Holdings } from "../devices/holdings.ts";
import { AllowLists } from "./allow-lists.ts";
import { Intents } from "./intents.ts";
import { contextFile, type DescriptorStore, deviceFile, type Journal } from "./journal.ts";
import type { Legacy } from "./restore.ts";
import { Seats } from "./seats.ts";
import type { UnderWay } from "./under-way.ts";

export interface SettlementParts {
  readonly kernel: Kernel;
  readonly contexts: Contexts;
  readonly devices: HeldDevices;
  readonly holdings: Holdings;
  readonly attachments: Attachments;
  readonly verifier: Verifier;
  readonly journal: Journal;
  readonly store: DescriptorStore;
  readonly underWay: UnderWay;
  readonly tell: Tell;
  /** Ends a context with all that is in it. */
  readonly destroy: (context: Context, end: End) => Promise<void>;
}

const RESTART: End = { cause: "restart", uid: null };

/**
 * Makes what an earlier life has left true: the model is what listeners were told, and the kernel may be a call ahead of it.
 * What was under way is completed, or has not happened; each difference is told. The store, the journal and the kernel may
 * be left at any moment, and the next life begins again.
 */
export class Settlement {
  readonly #parts: SettlementParts;
  readonly #legacy: Legacy;
  readonly #intents: Intents;
  readonly #seats: Seats;
  readonly #allowLists: AllowLists;
  readonly #losses: Loss[];

  constructor(parts: SettlementParts, legacy: Legacy) {
    this.#parts = parts;
    this.#legacy = legacy;
    this.#intents = new Intents(parts.journal);
    this.#losses = [...legacy.losses];
    const lose = (loss: Loss) => this.#lose(loss);
    this.#seats = new Seats({ ...parts, end: RESTART, lose });
    this.#allowLists = new AllowLists({ ...parts, lose }, this.#intents.to("allow"));
  }

  /** Nothing was under way in the earlier life, and nothing of it is lost. */
  get foundAtRest(): boolean {
    return this.#legacy.strays.length === 0 && this.#intents.isEmpty && this.#losses.length === 0;
  }

  /** Resolves to what was answered and is lost. */
  async run(): Promise<readonly Loss[]> {
    const unsettled = new IoasChange();
    for (const ioas of this.#parts.contexts.all().flatMap(({ ioases }) => [...ioases.values()]))
      unsettled.include(ioas);
    try {
      await this.#closeStrays();
      for (const context of this.#legacy.contextsWithoutFile) await this.#dropContext(context);
      for (const held of this.#legacy.devicesWithoutFile) await this.#dropDevice(held);
      for (const context of this.#openContexts()) this.#compareIoases(context);
      await this.#allowLists.restoreAnswered();
      await this.#seats.restore(this.#intents);
      for (const context of this.#openContexts()) this.#destroyOrphans(context);
      await this.#allowLists.restore();
    } finally {
      // Until now nobody could have told whether an answer is as it should be.
      unsettled.end();
    }
    await this.#verify();
    for (const held of this.#parts.devices.all()) this.#parts.holdings.listen(held);
    for (const intent of this.#intents.to("end"))
      await this.#endContext(this.#parts.contexts.find(intent.context), intent.end);
    this.#intents.forget();
    return this.#losses;
  }

  /** Where a device's cdev was stored twice, or something was not ours, the kernel would keep it bound. */
  async #closeStrays(): Promise<void> {
    const { kernel, store } = this.#parts;
    for (const { name, fd } of this.#legacy.strays) {
      await store.remove(name);
      await kernel.close(fd).catch(() => undefined);
      // What stays under the name has been removed with it.
      const kept = this.#fileOf(name);
      if (kept !== undefined) store.put(name, kept);
    }
  }

  #fileOf(name: string): number | undefined {
    const { contexts, devices } = this.#parts;
    const context = contexts.all().find((each) => contextFile(each.name) === name);
    if (context?.isOpen) return fileIfAny(context.open().fd);
    const held = devices.all().find(({ platform }) => deviceFile(platform.device) === name);
    return held && fileIfAny(held.vfio.fd);
  }

  async #dropContext(context: Context): Promise<void> {
    const { contexts, destroy, devices, holdings } = this.#parts;
    if (!this.#intents.to("end").some((intent) => intent.context === context.name))
      this.#lose({ context: context.name, reason: "the store has not kept its iommufd" });
    if (context.name !== DEFAULT_CONTEXT) return destroy(context, RESTART);
    for (const { platform } of devices.inContext(context)) await holdings.release(platform.device, RESTART);
    for (const ioas of [...context.ioases.values()]) contexts.gone(context, ioas);
    await context.close();
  }

  async #dropDevice(held: HeldDevice): Promise<void> {
    const { devices, holdings } = this.#parts;
    const { device } = held.platform;
    if (devices.get(device) !== held) return;
    const isWanted =
      this.#intents.to("release").some((intent) => intent.device === device) ||
      this.#intents.to("end").some((intent) => intent.context === held.context.name);
    if (!isWanted) this.#lose({ device, reason: "the store has not kept it, or it is not bound" });
    await holdings.release(device, RESTART);
  }

  /** Takes those out of the model that the kernel has not, and out of the kernel those that nobody was told of. */
  #compareIoases(context: Context): void {
    const { contexts } = this.#parts;
    for (const ioas of [...context.ioases.values()]) {
      if (this.#exists(context, ioas.id)) continue;
      const isMeant = this.#intents
        .to("destroy-ioas")
        .some((intent) => intent.context === context.name && intent.ioas === ioas.id);
      // In a shared context anybody may destroy one.
      if (!isMeant && !context.shared)
        this.#lose({ context: context.name, ioas: ioas.id, reason: "the kernel has no such IOAS" });
      for (const held of this.#parts.devices.inContext(context))
        if (held.ioas === ioas) this.#seats.left(held, ioas);
      contexts.gone(context, ioas);
    }
  }

  /** In a shared context others' IOASes are not told from one that a request was about to make. */
  #destroyOrphans(context: Context): void {
    if (context.shared) return;
    const iommufd = context.open();
    const known = [
      ...context.ioases.keys(),
      ...this.#parts.devices.inContext(context).map(({ deviceId }) => deviceId),
    ];
    for (let id = 1, last = Math.max(0, ...known) + PATIENCE; id <= last; id++) {
      if (context.ioases.has(id) || !this.#exists(context, id)) continue;
      ifPossible(() => iommufd.destroy(id));
      last = id + PATIENCE;
    }
  }

  /** Compares every IOAS with what is known of its devices; where they differ, its devices are put where they were once more. */
  async #verify(): Promise<void> {
    const { contexts, verifier } = this.#parts;
    for (const context of contexts.all()) {
      for (const ioas of context.ioases.values()) {
        if (!context.shared && !(await verifier.isAsPredicted(ioas))) await this.#seats.restoreIn(ioas);
        const device = [...ioas.devices][0] ?? this.#concerned(context) ?? "";
        await verifier.check(ioas, { event: "RESTARTED", device }).catch(() => undefined);
      }
    }
  }

  /** A device that something was under way with: by it, an IOAS with none has changed. */
  #concerned(context: Context): string | undefined {
    const lost = this.#losses.flatMap(({ device }) => device ?? []);
    const held = this.#parts.devices.inContext(context).map(({ platform }) => platform.device);
    return [...this.#intents.devices(), ...lost, ...held][0];
  }

  async #endContext(context: Context | undefined, end: End): Promise<void> {
    if (context && context.name !== DEFAULT_CONTEXT) await this.#parts.destroy(context, end);
  }

  #openContexts(): Context[] {
    return this.#parts.contexts.all().filter(({ isOpen }) => isOpen);
  }

  #exists(context: Context, id: number): boolean {
    return ifPossible(() => context.open().isIoas(id)) ?? false;
  }

  #lose(loss: Loss): void {
    this.#losses.push(loss);
  }
}

function fileIfAny(fd: number): number | undefined {
  return fd < 0 ? undefined : fd;
}
