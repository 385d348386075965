import { expect, it } from "vitest";
import { assertModelEqualsKernel, MSI, NIC, refusal, Simulation, setOf } from "./simulation.ts";

/**
 * An IOMMU driver that finds no memory lists fewer regions, and iommufd enforces only those
 * (`drivers/iommu/iommufd/io_pagetable.c: iopt_table_enforce_dev_resv_regions`). Here: one that sysfs shows is gone.
 */
function forgetful(): Simulation {
  const shown = "0x00000000fee00000 0x00000000feefffff msi\n";
  return new Simulation({ devices: [{ device: NIC }] }, {}, { shown });
}

it("a probe that lacks what the platform says the device reserves is refused, and leaves nothing open", async () => {
  const { host, machine } = forgetful();
  const error = await refusal(() => host.probe(NIC));
  expect(error).toMatchObject({ errorClass: "KernelError", data: { operation: `the probe of ${NIC}` } });
  expect((await host.reserved(NIC)).reserved.excluded).toEqual(setOf(MSI));
  await assertModelEqualsKernel({ host, machine });
});

it("an attach that lacks it answers what the kernel enforces, counts it, and teaches nothing", async () => {
  const { host } = forgetful();
  await host.hold(NIC, "default");
  const { answer } = await host.attach(NIC, host.createIoas("default").id);
  expect(answer.ranges.intersect(setOf(MSI))).toEqual(setOf(MSI));
  expect(host.mismatches).toBe(1);
  expect((await host.reserved(NIC)).reserved.excluded).toEqual(setOf(MSI));
});
