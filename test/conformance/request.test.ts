import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  VFIO_DEVICE_SET_IRQS,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
  VFIO_PCI_REQ_IRQ_INDEX,
  vfio_irq_set,
} from "../../src/uapi/vfio.ts";
import { kernelUnderTest } from "./kernel-under-test.ts";
import { outcome, Session } from "./session.ts";

const { kernel, devices } = await kernelUnderTest();
const session = new Session(kernel, devices);
const NONE = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
const BOOL = VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER;
const EVENTFD = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;

let device: number;
let eventfd: number;
let signalled: () => void = () => {};

beforeEach(async () => {
  device = session.openDevice(0);
  await session.bind(device, session.openIommufd());
  eventfd = kernel.eventfd(() => signalled());
});
afterEach(async () => {
  await session.end();
  await kernel.close(eventfd);
});
afterAll(() => kernel.shutdown());

const nextSignal = () =>
  new Promise<void>((resolve) => {
    signalled = resolve;
  });

function setIrqs(flags: number, data: Uint8Array = new Uint8Array(), values: object = {}): Promise<string> {
  const head = vfio_irq_set.encode({
    argsz: vfio_irq_set.size + data.length,
    flags,
    index: VFIO_PCI_REQ_IRQ_INDEX,
    count: 1,
    ...values,
  });
  return outcome(() => kernel.ioctl(device, VFIO_DEVICE_SET_IRQS, Buffer.concat([head, data])));
}

function descriptor(fd: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(fd);
  return bytes;
}

describe("the interrupt that asks for a device back", () => {
  it("signals the eventfd that it was given, as often as it is triggered", async () => {
    expect(await setIrqs(EVENTFD, descriptor(eventfd))).toBe("OK");
    for (const [flags, data] of [
      [NONE, new Uint8Array()],
      [BOOL, Uint8Array.of(1)],
      [NONE, new Uint8Array()],
    ] as const) {
      const signal = nextSignal();
      expect(await setIrqs(flags, data)).toBe("OK");
      await signal;
    }
  });

  it("has no line until it is given one, after it is taken away, and in the next use of the device", async () => {
    expect(await setIrqs(NONE)).toBe("EINVAL");
    expect(await setIrqs(BOOL, Uint8Array.of(1))).toBe("OK");
    for (const end of [
      () => setIrqs(NONE, undefined, { count: 0 }),
      () => setIrqs(EVENTFD, descriptor(-1)),
    ]) {
      expect(await setIrqs(EVENTFD, descriptor(eventfd))).toBe("OK");
      expect(await setIrqs(NONE)).toBe("OK");
      expect(await end()).toBe("OK");
      expect(await setIrqs(NONE)).toBe("EINVAL");
    }
    expect(await setIrqs(EVENTFD, descriptor(eventfd))).toBe("OK");
    await session.close(device);
    device = session.openDevice(0);
    await session.bind(device, session.openIommufd());
    expect(await setIrqs(NONE)).toBe("EINVAL");
  });

  it("takes an eventfd, and no other descriptor", async () => {
    expect(await setIrqs(EVENTFD, descriptor(0x7fffffff))).toBe("EBADF");
    expect(await setIrqs(EVENTFD, descriptor(device))).toBe("EINVAL");
    expect(await setIrqs(EVENTFD, descriptor(-2))).toBe("EINVAL");
  });

  it("is one, and there are five kinds", async () => {
    expect(await setIrqs(EVENTFD, descriptor(eventfd), { start: 1 })).toBe("EINVAL");
    expect(await setIrqs(EVENTFD, descriptor(eventfd), { count: 2 })).toBe("EINVAL");
    expect(await setIrqs(EVENTFD, descriptor(eventfd), { count: 0 })).toBe("EINVAL");
    expect(await setIrqs(EVENTFD, descriptor(eventfd), { index: 5 })).toBe("EINVAL");
  });

  it("refuses what is not well-formed", async () => {
    expect(await setIrqs(EVENTFD, descriptor(eventfd), { argsz: 19 })).toBe("EINVAL");
    expect(await setIrqs(EVENTFD, descriptor(eventfd), { argsz: 23 })).toBe("EINVAL");
    expect(await setIrqs(EVENTFD | 0x80, descriptor(eventfd))).toBe("EINVAL");
    expect(await setIrqs(VFIO_IRQ_SET_ACTION_TRIGGER, descriptor(eventfd))).toBe("EINVAL");
    expect(await setIrqs(EVENTFD | VFIO_IRQ_SET_DATA_BOOL, descriptor(eventfd))).toBe("EINVAL");
    expect(await setIrqs(VFIO_IRQ_SET_DATA_EVENTFD, descriptor(eventfd))).toBe("ENOTTY");
    expect(await setIrqs(VFIO_IRQ_SET_DATA_EVENTFD | 8, descriptor(eventfd))).toBe("ENOTTY");
  });
});
