import {
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
  VFIO_PCI_REQ_IRQ_INDEX,
  vfio_irq_set,
} from "../../uapi/vfio.ts";
import { Errno } from "./errno.ts";
import { EventFile } from "./event-file.ts";
import type { OpenFile } from "./open-file.ts";
import type { UserMemory } from "./user-memory.ts";
import type { VfioDevice } from "./vfio-device.ts";

const U32_MAX = 0xffffffff;
/** `include/uapi/linux/vfio.h`: VFIO_IRQ_SET_DATA_TYPE_MASK, VFIO_IRQ_SET_ACTION_TYPE_MASK. */
const DATA_TYPES = 0x07;
const ACTIONS = 0x38;
/** Bytes of one element of data, by its type. */
const WIDTHS = new Map([
  [VFIO_IRQ_SET_DATA_NONE, 0],
  [VFIO_IRQ_SET_DATA_BOOL, 1],
  [VFIO_IRQ_SET_DATA_EVENTFD, 4],
]);

/**
 * VFIO_DEVICE_SET_IRQS, of the interrupt that asks for the device back only; others answer ENOTTY. After
 * `drivers/vfio/vfio_main.c: vfio_set_irqs_validate_and_prepare` and `drivers/vfio/pci/vfio_pci_intrs.c:
 * vfio_pci_set_req_trigger`. `interrupts` is how many kinds the device has; `fileOf` finds the file of a descriptor, or
 * throws EBADF.
 */
export function setIrqs(
  vfio: VfioDevice,
  interrupts: number,
  memory: UserMemory,
  fileOf: (fd: number) => OpenFile,
): number {
  const { size } = vfio_irq_set;
  const { argsz, flags, index, start, count } = vfio_irq_set.decode(memory.read(memory.argument, size));
  if (argsz < size || index >= interrupts || count >= U32_MAX - start) throw new Errno("EINVAL");
  if ((flags & ~(DATA_TYPES | ACTIONS)) !== 0) throw new Errno("EINVAL");
  if (index !== VFIO_PCI_REQ_IRQ_INDEX) throw new Errno("ENOTTY");
  if (start >= 1 || start + count > 1) throw new Errno("EINVAL");
  const type = flags & DATA_TYPES;
  const width = WIDTHS.get(type);
  if (width === undefined || argsz - size < count * width) throw new Errno("EINVAL");
  const data = Buffer.from(memory.read(memory.argument + BigInt(size), count * width));
  if ((flags & ACTIONS) !== VFIO_IRQ_SET_ACTION_TRIGGER) throw new Errno("ENOTTY");
  if (type === VFIO_IRQ_SET_DATA_NONE) return trigger(vfio, count);
  if (count === 0) throw new Errno("EINVAL");
  if (type === VFIO_IRQ_SET_DATA_EVENTFD) return setTrigger(vfio, data.readInt32LE(), fileOf);
  if (data[0] !== 0) vfio.requestTrigger?.signal();
  return 0;
}

/** Without data: a test of the line, or with no line, its end. */
function trigger(vfio: VfioDevice, count: number): number {
  if (vfio.requestTrigger === null) throw new Errno("EINVAL");
  if (count > 0) vfio.requestTrigger.signal();
  else vfio.requestTrigger = null;
  return 0;
}

function setTrigger(vfio: VfioDevice, fd: number, fileOf: (fd: number) => OpenFile): number {
  if (fd < -1) throw new Errno("EINVAL");
  const file = fd === -1 ? null : fileOf(fd);
  if (file !== null && !(file instanceof EventFile)) throw new Errno("EINVAL");
  vfio.requestTrigger = file;
  return 0;
}
