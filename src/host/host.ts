import { ifPossible, type Kernel } from "../kernel/kernel.ts";
import type { RangeSet } from "../ranges/range-set.ts";
import { allowRanges } from "./contexts/allow-list.ts";
import type { Context, Lease } from "./contexts/context.ts";
import { discover } from "./contexts/discovery.ts";
import type { Allowed, Ioas } from "./contexts/ioas.ts";
import type { Owner } from "./contexts/owners.ts";
import type { Send } from "./devices/handovers.ts";
import type { HeldDevice } from "./devices/held-devices.ts";
import { errnoOf } from "./failures.ts";
import type { CacheCounters } from "./knowledge/cache-counters.ts";
import type { Reserved } from "./knowledge/knowledge.ts";
import type { Prediction } from "./knowledge/prediction.ts";
import { assemble, type Parts, type PartsOptions } from "./parts.ts";
import { type Blocker, findBlockers } from "./platform/blockers.ts";
import { Platform, type PlatformDevice } from "./platform/platform.ts";

export interface HostOptions extends PartsOptions {
  /** The number of the proposed IOMMU_RESV_IOVA_RANGES on a kernel that has it. */
  readonly resvIovaRangesIoctl?: number;
}

/** A device of the host with what stands in its way, and the daemon's hold on it. */
export interface DeviceReport {
  readonly platform: PlatformDevice;
  readonly held: HeldDevice | undefined;
  /** The context that it was handed over with; its end does not bring the device back. */
  readonly handedOver: Context | undefined;
  readonly blockers: readonly Blocker[];
}

/**
 * The daemon's model of the host, whole: every question and every operation that a client can ask for. Methods throw
 * (or reject with) HostError, and then nothing has changed but what the message says.
 */
export class Host {
  readonly kernel: Kernel;
  readonly platform: Platform;
  /** See HostOptions; null: no such ioctl is issued. */
  #resvIovaRangesIoctl: number | null;
  readonly #parts: Parts;

  constructor(kernel: Kernel, options: HostOptions = {}) {
    this.kernel = kernel;
    this.#resvIovaRangesIoctl = options.resvIovaRangesIoctl ?? null;
    this.platform = new Platform(kernel);
    this.#parts = assemble(kernel, this.platform, options);
  }

  /** Whether the proposed ioctl was asked for, and the kernel has not said that it does not know it. */
  get usesResvIovaRanges(): boolean {
    return this.#resvIovaRangesIoctl !== null;
  }

  get cacheCounters(): Readonly<CacheCounters> {
    return this.#parts.counters;
  }

  /** How often the kernel's answer differed from the prediction beyond what an unknown aperture explains. */
  get mismatches(): number {
    return this.#parts.verifier.mismatches;
  }

  get heldCount(): number {
    return this.#parts.devices.size;
  }

  /** Every device with an IOMMU group, sorted by name. */
  devices(): DeviceReport[] {
    const present = this.platform.devices();
    this.#parts.inventory.look(present);
    const host = present.map((device) => ({
      device,
      regions: this.#parts.knowledge.regions(device).regions,
    }));
    return host.map(({ device }) => ({
      platform: device,
      held: this.#parts.devices.get(device.device),
      handedOver: this.#parts.handedOver.get(device.device)?.context,
      blockers: findBlockers(device, host),
    }));
  }

  /** What keeps the devices from guests until somebody changes the host. */
  lastingBlockers(devices: readonly PlatformDevice[]): (Blocker & { readonly device: string })[] {
    const names = new Set(devices.map(({ device }) => device));
    return this.devices()
      .filter(({ platform }) => names.has(platform.device))
      .flatMap(({ platform: { device }, blockers }) => blockers.map((blocker) => ({ ...blocker, device })));
  }

  /** @throws HostError DeviceNotFound */
  find(device: string): PlatformDevice {
    return this.#parts.binding.find(device);
  }

  /** What is known of the ranges that the device takes out of an IOAS. @throws HostError DeviceNotFound */
  async reserved(device: string): Promise<{ platform: PlatformDevice; reserved: Reserved }> {
    const platform = this.#parts.binding.find(device);
    const reserved = this.#parts.knowledge.reserved(platform, await this.#listed(device));
    this.#parts.counters[reserved.cached ? "hits" : "misses"]++;
    return { platform, reserved };
  }

  /** The devices of these names, each once. @throws HostError DeviceNotFound that names all that are missing */
  findAll(names: Iterable<string>): PlatformDevice[] {
    return this.#parts.binding.findAll(names);
  }

  /** As {@link reserved}, of many devices for planning; the cache's counters do not move. */
  reservedOf(devices: readonly PlatformDevice[]) {
    const ask = async (platform: PlatformDevice) => ({
      platform,
      reserved: this.#parts.knowledge.reserved(platform, await this.#listed(platform.device)),
    });
    return Promise.all(devices.map(ask));
  }

  contexts(): Context[] {
    return this.#parts.contexts.all();
  }

  /** @throws HostError ContextNotFound */
  context(name: string): Context {
    return this.#parts.contexts.get(name);
  }

  /** @throws HostError ContextNotFound, IoasNotFound */
  ioas(context: string, ioas: number): Ioas {
    return this.#parts.contexts.ioas(this.#parts.contexts.get(context), ioas);
  }

  /** As {@link ioas}, and in a shared context also one that others may have made. */
  anyIoas(context: string, ioas: number): Ioas {
    return this.#parts.contexts.anyIoas(this.#parts.contexts.get(context), ioas);
  }

  /** The IO address spaces that other holders of a shared context have made. Rejects with HostError KernelError. */
  discover(context: Context): Promise<Ioas[]> {
    return discover(context, this.#parts.counters);
  }

  /** @throws HostError NotHeld */
  heldDevice(device: string): HeldDevice {
    return this.#parts.devices.require(device);
  }

  devicesIn(context: Context): HeldDevice[] {
    return this.#parts.devices.inContext(context);
  }

  /** The kernel's own answer (IOMMU_IOAS_IOVA_RANGES); a kept one comes without a promise. */
  allowed(ioas: Ioas): Allowed | Promise<Allowed> {
    return this.#parts.contexts.allowed(ioas);
  }

  /** What the sources say that an IOAS with these devices allows. */
  predict(devices: Iterable<string>): Prediction {
    return this.#parts.verifier.predict(devices);
  }

  /** @throws HostError AlreadyExists, LimitExceeded, NotSupported */
  createContext(name: string, lease: Lease, owner: Owner = null, rlimitMode = false): Context {
    return this.#parts.contexts.create(name, lease, owner, rlimitMode);
  }

  /** Releases the context's devices when nothing is under way in it any more, then closes it. */
  async destroyContext(name: string): Promise<void> {
    await this.#destroy(this.#parts.contexts.get(name));
  }

  /** Destroys a context whose owner is gone, unless somebody has done that before. Never rejects. */
  async endLease(context: Context): Promise<void> {
    await this.#destroy(context).catch(() => undefined);
  }

  /** @throws HostError ContextNotFound, LimitExceeded, NotSupported */
  createIoas(context: string, owner: Owner = null): Ioas {
    return this.#parts.contexts.createIoas(this.#parts.contexts.get(context), owner);
  }

  /** @throws HostError ContextNotFound, IoasNotFound, IoasBusy */
  destroyIoas(context: string, ioas: number): void {
    this.#parts.contexts.destroyIoas(this.#parts.contexts.get(context), this.ioas(context, ioas));
  }

  /** IOMMU_IOAS_ALLOW_IOVAS with a set that has no range of one byte; the empty set allows everything. */
  async allowRanges(context: string, id: number, ranges: RangeSet): Promise<void> {
    const ioas = this.ioas(context, id);
    const attached = [...ioas.devices].flatMap((device) => this.platform.find(device) ?? []);
    const devices = attached.map((platform) => ({
      platform,
      reserved: this.#parts.knowledge.reserved(platform),
    }));
    const { contexts } = this.#parts;
    const lost = contexts.lost.bind(contexts);
    await contexts.get(context).run(() => allowRanges(ioas, ranges, devices, lost));
  }

  async probe(device: string): Promise<{ platform: PlatformDevice; reserved: Reserved }> {
    this.#parts.handedOver.refuse(device);
    const platform = await this.#parts.holdings.probe(device);
    return { platform, reserved: this.#parts.knowledge.reserved(platform) };
  }

  async hold(device: string, context: string, owner: Owner = null): Promise<HeldDevice> {
    this.#parts.handedOver.refuse(device);
    return this.#parts.holdings.hold(device, this.#parts.contexts.get(context), owner);
  }

  /** Gives a client the context's iommufd and the device's cdev, open and unbound. */
  handOverDevice(device: string, context: string, send: Send): Promise<void> {
    return this.#parts.handOvers.device(device, this.#parts.contexts.get(context), send);
  }

  /** Gives a client the context's iommufd. */
  handOverContext(context: string, send: Send): Promise<void> {
    return this.#parts.handOvers.context(this.#parts.contexts.get(context), send);
  }

  release(device: string): Promise<void> {
    return this.#parts.holdings.release(device);
  }

  /** `permit` is asked about every sibling that would move with the device, and may throw. */
  attach(device: string, ioas: number, permit: (sibling: HeldDevice) => void = () => {}) {
    return this.#parts.attachments.attach(device, ioas, permit);
  }

  detach(device: string): Promise<{ held: HeldDevice; ioas: Ioas | null }> {
    return this.#parts.attachments.detach(device);
  }

  /** Gives everything back, after what is under way. The host answers nothing afterwards. */
  async close(): Promise<void> {
    while (this.contexts().length > 0) {
      await Promise.all(this.contexts().map((context) => this.#destroy(context)));
    }
    await this.#parts.turns.settled();
    this.#parts.inventory.close();
    await this.kernel.shutdown();
  }

  /** A context ends once, and everybody who asked for it waits for the same end. */
  #destroy(context: Context): Promise<void> {
    context.ending ??= this.#parts.holdings
      .releaseAll(context)
      .then(() => this.#parts.contexts.close(context))
      // The end of a context does not fail because /proc cannot be read; the next look will find the devices.
      .then(() => ifPossible(() => this.#parts.handedOver.review()));
    return context.ending;
  }

  /** What the proposed ioctl lists for a held device; undefined where the kernel does not answer it. */
  async #listed(device: string): Promise<RangeSet | undefined> {
    const held = this.#parts.devices.get(device);
    if (!held || this.#resvIovaRangesIoctl === null) return undefined;
    try {
      return await held.context.open().resvIovaRanges(this.#resvIovaRangesIoctl, held.deviceId);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === undefined) throw error;
      // No such command: it will not appear while this kernel runs.
      if (errno === "ENOTTY") this.#resvIovaRangesIoctl = null;
      return undefined;
    }
  }
}
