import type { Device } from "./device.ts";
import { Errno } from "./errno.ts";
import type { Interval } from "./intervals.ts";
import { type Domain, IoPagetable } from "./io-pagetable.ts";
import type { TopologyIommu } from "./topology.ts";

/** What a caller of iommufd knows by id. `users` counts the table itself and every object that needs this one. */
abstract class IommufdObject {
  readonly id: number;
  users = 1;

  constructor(id: number) {
    this.id = id;
  }
}

export class Ioas extends IommufdObject {
  readonly pagetable: IoPagetable;
  /** The automatic domains in use, in the order of their making. */
  readonly hwpts: Hwpt[] = [];

  constructor(id: number, pageSize: number) {
    super(id);
    this.pagetable = new IoPagetable(pageSize);
  }
}

/** A hardware page table of an IOAS, made when a device is attached that no other one of the IOAS suits. */
export class Hwpt extends IommufdObject implements Domain {
  readonly ioas: Ioas;
  readonly iommu: TopologyIommu;
  /** What the IOAS takes it for: asked for once, when the domain is new. */
  readonly aperture: Interval;

  /**
   * `isAttached`: whether a device is in it by then, which in a replace comes last. A driver that cannot tell until
   * then says that the aperture is the address 0 (`iommufd_hwpt_paging_alloc`, on `immediate_attach`).
   */
  constructor(id: number, ioas: Ioas, iommu: TopologyIommu, isAttached: boolean) {
    super(id);
    this.ioas = ioas;
    this.iommu = iommu;
    this.aperture = isAttached || !iommu.lateAperture ? iommu.aperture : { start: 0n, last: 0n };
  }

  get pageSize() {
    return this.iommu.pageSize;
  }
}

/** A device bound to the context, and what it shares with the other bound devices of its group. */
export class BoundDevice extends IommufdObject {
  readonly device: Device;
  readonly attachment: GroupAttachment;

  constructor(id: number, device: Device, attachment: GroupAttachment) {
    super(id);
    this.device = device;
    this.attachment = attachment;
  }
}

/** All attached devices of a group are attached to one hwpt: the kernel's `struct iommufd_group`. */
export class GroupAttachment {
  hwpt: Hwpt | undefined;
  devices: BoundDevice[] = [];
}

type AnyObject = Ioas | Hwpt | BoundDevice;

/** The objects of one context by id, all kinds in one space (`drivers/iommu/iommufd/main.c`). */
export class ObjectTable {
  readonly #objects = new Map<number, AnyObject>();

  get isEmpty(): boolean {
    return this.#objects.size === 0;
  }

  /** Makes an object with the lowest free id from 1 on, as xa_alloc() does. */
  add<T extends AnyObject>(make: (id: number) => T): T {
    let id = 1;
    while (this.#objects.has(id)) id++;
    const object = make(id);
    this.#objects.set(id, object);
    return object;
  }

  /** Throws ENOENT. */
  get(id: number): AnyObject {
    const object = this.#objects.get(id);
    if (object === undefined) throw new Errno("ENOENT");
    return object;
  }

  /** Throws ENOENT, also for an object of another kind. */
  getIoas(id: number): Ioas {
    const object = this.get(id);
    if (!(object instanceof Ioas)) throw new Errno("ENOENT");
    return object;
  }

  /** Throws ENOENT, also for an object of another kind. */
  getDevice(id: number): BoundDevice {
    const object = this.get(id);
    if (!(object instanceof BoundDevice)) throw new Errno("ENOENT");
    return object;
  }

  remove(object: AnyObject): void {
    this.#objects.delete(object.id);
  }
}
