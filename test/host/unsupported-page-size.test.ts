import { describe, expect, it } from "vitest";
import { NIC, refusal, Simulation } from "./simulation.ts";
import { failNth } from "./tampered-kernel.ts";

/** A device behind an IOMMU whose smallest page is `page` bytes, in a host with pages of `hostPage`. */
const host = (page: number, hostPage: number) =>
  new Simulation({
    kernel: { "page-size": hostPage },
    iommus: [{ name: "iommu0", "page-size": page }],
    devices: [{ device: NIC }],
  });

const reasons = async ({ host }: Simulation) =>
  (await host.devices()).flatMap(({ blockers }) => blockers.map(({ reason }) => reason));

const blocked = {
  errorClass: "DeviceBlocked",
  data: { errno: "EINVAL", blockers: [{ device: NIC, reason: "unsupported-page-size", transient: false }] },
};

it("one refusal teaches nothing: a kernel that is short of memory may say EINVAL, too", async () => {
  const simulation = host(4096, 4096);
  const { id } = simulation.host.createIoas("default");
  await simulation.host.hold(NIC, "default");
  failNth(simulation.kernel, 0, "EINVAL", "ATTACH");
  await simulation.host.attach(NIC, id);
  expect(await reasons(simulation)).not.toContain("unsupported-page-size");
});

describe("an IOMMU whose smallest page is larger than the host's", () => {
  it("is found out by a probe, and remembered until the device changes", async () => {
    const simulation = host(16384, 4096);
    expect(await reasons(simulation)).toEqual([]);
    expect(await refusal(() => simulation.host.probe(NIC))).toMatchObject(blocked);
    expect(await reasons(simulation)).toEqual(["unsupported-page-size"]);
    await simulation.host.hold(NIC, "default");
    await simulation.host.release(NIC);
    expect(await reasons(simulation)).toEqual(["unsupported-page-size"]);
    await simulation.machine.setDriver(NIC, null);
    expect(await reasons(simulation)).toEqual(["no-vfio-driver"]);
    await simulation.machine.setDriver(NIC, "vfio-pci");
    expect(await reasons(simulation)).toEqual([]);
  });

  it("is found out by an attach, too", async () => {
    const simulation = host(65536, 16384);
    const { id } = simulation.host.createIoas("default");
    await simulation.host.hold(NIC, "default");
    expect(await refusal(() => simulation.host.attach(NIC, id))).toMatchObject(blocked);
    expect(await reasons(simulation)).toContain("unsupported-page-size");
  });

  it.each([
    [4096, 4096],
    [4096, 65536],
    [65536, 65536],
  ])("is none with pages of %i and %i bytes, and the alignment is the IOMMU's", async (page, hostPage) => {
    const simulation = host(page, hostPage);
    await simulation.host.probe(NIC);
    expect(await reasons(simulation)).toEqual([]);
    const { id } = simulation.host.createIoas("default");
    await simulation.host.hold(NIC, "default");
    await simulation.host.attach(NIC, id);
    const { alignment } = await simulation.host.allowed(simulation.host.ioas("default", id));
    expect(alignment).toBe(BigInt(page));
  });
});
