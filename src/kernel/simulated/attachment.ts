import type { Device } from "./device.ts";
import { Errno } from "./errno.ts";
import type { IoPagetable } from "./io-pagetable.ts";
import { type BoundDevice, Hwpt, Ioas, type ObjectTable } from "./objects.ts";

/**
 * How devices get on and off page tables, after `drivers/iommu/iommufd/device.c` of Linux 6.12, in its order: the
 * order decides what a failed call leaves behind. A domain suits the devices of the IOMMU it was made for; drivers
 * that let several units share a domain only spare page tables by that.
 */

/**
 * iommufd_device_attach, and iommufd_device_replace for an attached device: to the hwpt of that id, or to an
 * automatic one of the IOAS of that id. Returns the hwpt's id. Throws ENOENT, EINVAL, EADDRINUSE.
 */
export function attach(objects: ObjectTable, bound: BoundDevice, id: number): number {
  const target = objects.get(id);
  const put = bound.attachment.devices.includes(bound) ? replaceHwpt : attachHwpt;
  if (target instanceof Ioas) return attachToIoas(objects, bound, target, put);
  if (!(target instanceof Hwpt)) throw new Errno("EINVAL");
  const old = put(bound, target);
  if (old) putHwpt(objects, old);
  return target.id;
}

/** iommufd_device_detach, of an attached device. */
export function detach(objects: ObjectTable, bound: BoundDevice): void {
  putHwpt(objects, leaveHwpt(bound));
}

/** iommufd_hw_pagetable_put: an automatic hwpt goes with its last user. */
function putHwpt(objects: ObjectTable, hwpt: Hwpt): void {
  if (--hwpt.users === 1) destroyHwpt(objects, hwpt);
}

/** hw_pagetable.c: iommufd_hwpt_paging_destroy */
function destroyHwpt(objects: ObjectTable, hwpt: Hwpt): void {
  const { ioas } = hwpt;
  objects.remove(hwpt);
  ioas.hwpts.splice(ioas.hwpts.indexOf(hwpt), 1);
  ioas.pagetable.removeDomain(hwpt);
  ioas.users--;
}

/** iommufd_device_auto_get_domain: the first automatic hwpt that takes the device, else a new one. */
function attachToIoas(
  objects: ObjectTable,
  bound: BoundDevice,
  ioas: Ioas,
  put: typeof attachHwpt | typeof replaceHwpt,
): number {
  for (const hwpt of ioas.hwpts) {
    try {
      const old = put(bound, hwpt);
      if (old) putHwpt(objects, old);
      return hwpt.id;
    } catch (error) {
      // "Does not suit this device": try the next.
      if (!(error instanceof Errno) || error.code !== "EINVAL") throw error;
    }
  }
  const { iommu } = bound.device;
  if (iommu === null) throw new Errno("EINVAL");
  const hwpt = objects.add((id) => new Hwpt(id, ioas, iommu, put === attachHwpt));
  ioas.users++;
  try {
    if (put === attachHwpt) joinNewHwpt(bound, hwpt);
    else ioas.pagetable.addDomain(hwpt);
  } catch (error) {
    objects.remove(hwpt);
    ioas.users--;
    throw error;
  }
  ioas.hwpts.push(hwpt);
  if (put === attachHwpt) return hwpt.id;
  try {
    const old = replaceHwpt(bound, hwpt);
    if (old) putHwpt(objects, old);
    return hwpt.id;
  } catch (error) {
    destroyHwpt(objects, hwpt);
    throw error;
  }
}

/** A first attachment makes its domain in the order device, aperture (iommufd_hwpt_paging_alloc). */
function joinNewHwpt(bound: BoundDevice, hwpt: Hwpt): void {
  attachHwpt(bound, hwpt);
  try {
    hwpt.ioas.pagetable.addDomain(hwpt);
  } catch (error) {
    leaveHwpt(bound).users--;
    throw error;
  }
}

/** iommufd_hw_pagetable_attach. Nothing to put afterwards. */
function attachHwpt(bound: BoundDevice, hwpt: Hwpt): undefined {
  const { attachment, device } = bound;
  if (attachment.hwpt !== undefined && attachment.hwpt !== hwpt) throw new Errno("EINVAL");
  reserveRegions(hwpt.ioas.pagetable, device);
  if (device.iommu !== hwpt.iommu) {
    hwpt.ioas.pagetable.unreserve(device);
    throw new Errno("EINVAL");
  }
  attachment.hwpt = hwpt;
  attachment.devices.push(bound);
  hwpt.users++;
}

/** iommufd_hw_pagetable_detach: the caller puts the hwpt. */
function leaveHwpt(bound: BoundDevice): Hwpt {
  const { attachment, device } = bound;
  const hwpt = attachment.hwpt as Hwpt;
  attachment.devices = attachment.devices.filter((other) => other !== bound);
  if (attachment.devices.length === 0) attachment.hwpt = undefined;
  hwpt.ioas.pagetable.unreserve(device);
  return hwpt;
}

/**
 * iommufd_device_do_replace: moves every attached device of the group at once. Returns the hwpt they were on, for
 * the caller to put, or undefined when it is the same.
 */
function replaceHwpt(bound: BoundDevice, hwpt: Hwpt): Hwpt | undefined {
  const { attachment } = bound;
  const old = attachment.hwpt as Hwpt;
  if (hwpt === old) return undefined;
  const members = attachment.devices.map(({ device }) => device);
  const { pagetable } = hwpt.ioas;
  try {
    if (hwpt.ioas !== old.ioas) for (const device of members) reserveRegions(pagetable, device);
    if (bound.device.iommu !== hwpt.iommu) throw new Errno("EINVAL");
  } catch (error) {
    // Linux 6.12 does so also when this is the IOAS that they stay attached to, which then forgets their regions.
    for (const device of members) pagetable.unreserve(device);
    throw error;
  }
  if (hwpt.ioas !== old.ioas) for (const device of members) old.ioas.pagetable.unreserve(device);
  attachment.hwpt = hwpt;
  hwpt.users += members.length;
  old.users -= members.length - 1;
  return old;
}

/** io_pagetable.c: iopt_table_enforce_dev_resv_regions. All of the device's regions, or none and EADDRINUSE. */
function reserveRegions(pagetable: IoPagetable, device: Device): void {
  try {
    for (const region of device.regions) {
      if (region.type !== "direct-relaxable") pagetable.reserve(region, device);
    }
  } catch (error) {
    pagetable.unreserve(device);
    throw error;
  }
}
