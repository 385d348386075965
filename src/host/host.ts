import type { Kernel } from "../kernel/kernel.ts";
import { NamedRanges } from "../ranges/named-ranges.ts";
import type { RangeSet } from "../ranges/range-set.ts";
import type { End, Loss } from "./changes.ts";
import { allowRanges } from "./contexts/allow-list.ts";
import type { Context } from "./contexts/context.ts";
import { discover } from "./contexts/discovery.ts";
import type { Allowed, Ioas } from "./contexts/ioas.ts";
import type { Lease } from "./contexts/lease.ts";
import type { Owner } from "./contexts/owners.ts";
import type { DeviceRecord } from "./devices/device-record.ts";
import type { Send } from "./devices/handovers.ts";
import type { HeldDevice } from "./devices/held-devices.ts";
import { Directory } from "./directory.ts";
import type { CacheCounters } from "./knowledge/cache-counters.ts";
import type { KnownDevice } from "./knowledge/claims.ts";
import type { Prediction } from "./knowledge/prediction.ts";
import { assemble, type HostOptions, type Parts } from "./parts.ts";
import type { Blocker } from "./platform/blockers.ts";
import { PhysicalMap } from "./platform/physical-map.ts";
import { Platform, type PlatformDevice } from "./platform/platform.ts";
import type { User } from "./platform/users.ts";
import { inSlices, OwnSlice, type Slice } from "./slice.ts";
import { type ContextRecord, contextRecord, type IoasRecord, ioasRecord, type Snapshot } from "./snapshot.ts";
import { Settlement } from "./survival/settlement.ts";

export type { HostOptions } from "./parts.ts";

/**
 * The daemon's model of the host, whole: every question and every operation that a client can ask for. Methods throw
 * (or reject with) HostError, and then nothing has changed but what the message says.
 */
export class Host {
  readonly kernel: Kernel;
  readonly platform: Platform;
  readonly #parts: Parts;
  readonly #directory: Directory;

  constructor(kernel: Kernel, options: HostOptions = {}) {
    this.kernel = kernel;
    this.platform = new Platform(kernel);
    this.#parts = assemble(kernel, this.platform, options);
    this.#directory = new Directory(this.#parts);
  }

  /** Whether the proposed ioctl was asked for, and the kernel has not said that it does not know it. */
  get usesResvIovaRanges(): boolean {
    return this.#parts.resvIoctl.isUsed;
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

  /**
   * Looks at all devices, and tells of what has changed since the last look. Work that asks for all of them does so
   * first; a snapshot is then as good as new. Rejects with HostError KernelError.
   */
  look(slice: Slice = this.#ownSlice()): Promise<void> {
    return this.#directory.look(slice);
  }

  /** All that changes are told of, as it is at this moment; the devices as they were last looked at. */
  snapshot(): Snapshot {
    const contexts = this.contexts();
    return {
      devices: this.#parts.records.all(),
      contexts: this.contextRecords(),
      ioas: contexts.flatMap((context) => Array.from(context.ioases.values(), ioasRecord)).sort(byId),
    };
  }

  /** See Directory.lastingBlockers. */
  lastingBlockers(devices: readonly PlatformDevice[]): Blocker[] {
    return this.#directory.lastingBlockers(devices);
  }

  /** Every device with an IOMMU group, sorted by name. */
  devices(slice: Slice = this.#ownSlice()): Promise<DeviceRecord[]> {
    return this.#directory.all(slice);
  }

  /** The records of devices, as they were last looked at. */
  recordsOf(devices: readonly PlatformDevice[]): DeviceRecord[] {
    return this.#directory.recordsOf(devices);
  }

  /** Costs as much as the device's group has devices. */
  device(device: string, slice: Slice = this.#ownSlice()): Promise<DeviceRecord> {
    return this.#directory.one(device, slice);
  }

  devicesOfGroup(group: number, slice: Slice = this.#ownSlice()): Promise<DeviceRecord[]> {
    return this.#directory.ofGroup(group, slice);
  }

  /** The devices of these names, each once. */
  findAll(names: Iterable<string>, slice: Slice = this.#ownSlice()): Promise<PlatformDevice[]> {
    return this.#directory.findAll(names, slice);
  }

  /** See Directory.users. */
  users(): Promise<((record: DeviceRecord) => User[]) | null> {
    return this.#directory.users();
  }

  /** What is known of the ranges that the device takes out of an IOAS. */
  async reserved(device: string, slice: Slice = this.#ownSlice()): Promise<KnownDevice> {
    const known = await this.#known(await this.#directory.find(device, slice));
    this.#parts.counters[known.reserved.cached ? "hits" : "misses"]++;
    return known;
  }

  /** As {@link reserved}, of many devices for planning, as they were last looked at; the cache's counters do not move. */
  reservedOf(devices: readonly PlatformDevice[]): Promise<KnownDevice[]> {
    return Promise.all(devices.map((platform) => this.#known(platform)));
  }

  /** What the kernel shows at physical addresses, read now. */
  physicalMap(slice: Slice = this.#ownSlice()): Promise<PhysicalMap> {
    return inSlices(PhysicalMap.read(this.kernel), slice);
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

  contextRecords(): ContextRecord[] {
    const held = this.#parts.devices.byContext();
    return this.contexts().map((context) => contextRecord(context, held.get(context) ?? []));
  }

  devicesIn(context: Context): HeldDevice[] {
    return this.#parts.devices.inContext(context);
  }

  /** The kernel's own answer (IOMMU_IOAS_IOVA_RANGES); a kept one comes without a promise. */
  allowed(ioas: Ioas): Allowed | Promise<Allowed> {
    return this.#parts.contexts.allowed(ioas);
  }

  /** The devices of this daemon that are attached to the IOAS, or were then, as they were last looked at. */
  attached({ devices }: Pick<Ioas | Allowed, "devices">): PlatformDevice[] {
    return [...devices].flatMap((device) => this.#parts.census.get(device) ?? []);
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
  async destroyContext(name: string, by: Owner = null): Promise<void> {
    await this.#parts.ends.of(this.#parts.contexts.get(name), { cause: "request", uid: by });
  }

  /** Destroys a context whose owner is gone, unless somebody has done that before. Never rejects. */
  endLease(context: Context): Promise<void> {
    return this.#parts.ends.withLease(context);
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
  async allowRanges(context: string, id: number, ranges: RangeSet | NamedRanges): Promise<void> {
    const ioas = this.ioas(context, id);
    const { contexts, knowledge, tell, underWay } = this.#parts;
    const known = (platform: PlatformDevice) => ({ platform, reserved: knowledge.reserved(platform) });
    const devices = this.attached(ioas).map(known);
    const list = ranges instanceof NamedRanges ? ranges : new NamedRanges(ranges);
    const lost = contexts.lost.bind(contexts);
    await contexts.get(context).run(() => allowRanges(ioas, list, devices, lost, tell, underWay));
  }

  /**
   * Asks the kernel what the device takes out of an IOAS of its own: bind, attach, read, close. Rejects with HostError
   * DeviceNotFound, DeviceBusy, DeviceNotReady, DeviceBlocked, NotSupported, KernelError.
   */
  async probe(device: string): Promise<KnownDevice> {
    await this.#parts.handedOver.refuse(device);
    const platform = await this.#parts.holdings.probe(device);
    // The kernel was asked, just now.
    return { platform, reserved: { ...this.#parts.knowledge.reserved(platform), cached: false } };
  }

  /** Binds the device in the context. Rejects as {@link probe}, and with HostError ContextNotFound, LimitExceeded. */
  async hold(device: string, context: string, owner: Owner = null): Promise<HeldDevice> {
    const chosen = this.#parts.contexts.get(context);
    await this.#parts.handedOver.refuse(device);
    return this.#parts.holdings.hold(device, chosen, owner);
  }

  /** Gives a client the context's iommufd and the device's cdev, open and unbound. Rejects as {@link hold}. */
  async handOverDevice(device: string, context: string, send: Send, to: Owner = null): Promise<void> {
    const chosen = this.#parts.contexts.get(context);
    await this.#parts.handOvers.device(device, chosen, to, send);
    this.#parts.ends.watchGuests();
  }

  /** Gives a client the context's iommufd. Rejects with HostError ContextNotFound, NotSupported, KernelError. */
  handOverContext(context: string, send: Send): Promise<void> {
    return this.#parts.handOvers.context(this.#parts.contexts.get(context), send);
  }

  /** Detaches and unbinds the device. Rejects with HostError NotHeld, DeviceBusy. */
  release(device: string, by: Owner = null): Promise<void> {
    return this.#parts.holdings.release(device, { cause: "request", uid: by });
  }

  /**
   * `permit` is asked about every sibling that would move with the device, and may throw. Rejects with HostError NotHeld,
   * IoasNotFound, DeviceBusy, DeviceBlocked, RangeConflict, DeviceNotFound, KernelError.
   */
  attach(device: string, ioas: number, permit: (sibling: HeldDevice) => void = () => {}) {
    return this.#parts.attachments.attach(device, ioas, permit);
  }

  /** Resolves to where it was attached, null when it was not. Rejects with HostError NotHeld, DeviceBusy, KernelError. */
  detach(device: string, by: Owner = null): Promise<{ held: HeldDevice; ioas: Ioas | null }> {
    return this.#parts.attachments.detach(device, { cause: "request", uid: by });
  }

  /**
   * Settles what an earlier life has left, before the first request: resolves to what of it is lost, undefined where there
   * was none. Contexts of connections then wait `grace` seconds for their clients.
   */
  async takeOver(grace: number): Promise<readonly Loss[] | undefined> {
    const { legacy, ends, inventory } = this.#parts;
    if (!legacy) return undefined;
    const destroy = (context: Context, end: End) => ends.of(context, end);
    const settlement = new Settlement({ ...this.#parts, kernel: this.kernel, destroy }, legacy);
    const lost = await settlement.run();
    await inventory.begin(settlement.foundAtRest).catch(() => undefined);
    ends.awaitOwners(grace);
    return lost;
  }

  /** Tells that takeOver() is done, and of which lineage of state all is from now on. */
  restarted(instance: string, lost: readonly Loss[]): void {
    this.#parts.tell({ event: "RESTARTED", instance, lost });
  }

  /** The context, whose lease is the caller's from now on. @throws HostError ContextNotFound, PermissionDenied */
  resumeContext(name: string, by: Owner): Context {
    const context = this.#parts.contexts.get(name);
    this.#parts.leases.resume(context, by);
    return context;
  }

  /** From now on no lease ends with its connection: its client may come back to the next life. */
  keepLeases(): void {
    this.#parts.ends.keepLeases();
  }

  /** Ends this life and leaves everything to the next: resolves when nothing is under way. Nothing is given back. */
  async leave(): Promise<void> {
    this.keepLeases();
    for (const context of this.contexts()) await context.settled();
    this.#parts.journal.flush();
    await this.#stop();
  }

  /** Gives everything back, after what is under way. The host answers nothing afterwards. */
  async close(): Promise<void> {
    await this.#parts.ends.ofAll({ cause: "shutdown", uid: null });
    await this.#stop();
  }

  async #stop(): Promise<void> {
    await this.#parts.turns.settled();
    this.#parts.leases.close();
    this.#parts.inventory.close();
    await this.kernel.shutdown();
  }

  async #known(platform: PlatformDevice): Promise<KnownDevice> {
    const listed = await this.#parts.resvIoctl.listed(platform.device);
    return { platform, reserved: this.#parts.knowledge.reserved(platform, listed) };
  }

  #ownSlice(): Slice {
    return new OwnSlice(this.#parts.now);
  }
}

function byId(a: IoasRecord, b: IoasRecord): number {
  if (a.context !== b.context) return a.context < b.context ? -1 : 1;
  return a.ioas - b.ioas;
}
