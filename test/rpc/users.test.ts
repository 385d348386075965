import { closeSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { connect } from "../../src/client/index.ts";
import { parseOptions } from "../../src/options.ts";
import { Daemon } from "../daemon/daemon.ts";
import { Client } from "./planning/client.ts";
import type { Message } from "./stub.ts";

// What users of the first daemon stumbled over, each by the symptom that they told of.

const NIC = "0000:83:00.0";
const SIBLING = "0000:83:00.1";
const GPU = "0000:41:00.0";
const MSI = { start: "0xfee00000", last: "0xfeefffff", type: "msi" };
const RMRR = { start: "0xbdf6e000", last: "0xbdf84fff", type: "direct" };
const GiB = 2 ** 30;
const low = [{ name: "ram", start: 0, size: GiB }];

/** A NIC of two functions in one group and a GPU, behind an IOMMU of 39 bits. */
function topology({ nic = {}, iommu = {}, kernel = {} } = {}) {
  const device = { iommu: "dmar0", driver: "vfio-pci", regions: [MSI] };
  return {
    kernel,
    iommus: [{ name: "dmar0", aperture: { start: 0, last: "0x7fffffffff" }, ...iommu }],
    devices: [
      { ...device, device: NIC, group: 34, ...nic },
      { ...device, device: SIBLING, group: 34 },
      { ...device, device: GPU, group: 22 },
    ],
  };
}

const deviceOf = async (client: Client, device: string): Promise<Message> =>
  (await client.ask("query-devices", { device })).devices[0];

describe("a device is said to be there for the taking, and cannot be taken", () => {
  it("since a client of the daemon holds it, or its sibling", async () => {
    const client = new Client(topology());
    await client.ask("hold-device", { device: NIC });
    expect(await deviceOf(client, NIC)).toMatchObject({
      assignable: true,
      available: false,
      owner: { uid: 0 },
      blockers: [{ reason: "held", transient: true }],
    });
    expect(await deviceOf(client, SIBLING)).toMatchObject({
      available: false,
      blockers: [{ reason: "sibling-held", devices: [NIC] }],
    });
    expect((await client.ask("query-devices", { available: true })).devices).toMatchObject([{ device: GPU }]);
  });

  it.each([
    ["its interrupts are not isolated", { "isolated-msi": false }, "no-isolated-msi"],
    ["its DMA is not coherent", { coherent: false }, "no-coherent-dma"],
  ])("since %s: a refused probe teaches that, and the hint asks for no other", async (_why, nic, reason) => {
    const client = new Client(topology({ nic }));
    expect((await client.refusal("probe-device", { device: NIC })).data).toMatchObject({
      class: "DeviceBlocked",
      blockers: [{ reason }],
    });
    expect(await deviceOf(client, NIC)).toMatchObject({ assignable: false, blockers: [{ reason }] });
    const answer = await client.ask("check-layout", { layout: low, devices: [NIC] });
    expect(answer).toMatchObject({ fits: false, exact: false, blockers: [{ device: NIC, reason }] });
    expect(answer.hint).not.toContain("probe");
    expect(answer.remedies.map(({ kind }: Message) => kind)).not.toContain("probe");
  });

  it("since its firmware demands a 1:1 mapping, which a layout does not fit then", async () => {
    const client = new Client(topology({ nic: { regions: [RMRR] } }));
    const answer = await client.ask("check-layout", { layout: low, devices: [NIC] });
    expect(answer).toMatchObject({
      fits: false,
      windows: [{ fits: true }],
      blockers: [{ device: NIC, reason: "direct-mapping", transient: false, region: RMRR }],
    });
  });
});

describe("1.5 TiB fit on a host of 39 bits", () => {
  it("is not said any more when the selector has matched no device", async () => {
    const client = new Client(topology());
    const machine = { type: "q35", memory: "1.5T" };
    const { message, data } = await client.refusal("check-layout", { machine, devices: [] });
    expect(data).toMatchObject({ class: "InvalidParams" });
    expect(message).toContain("query-devices");
  });
});

describe("an inventory that is kept by events", () => {
  it("hears of allow lists, probes and other drivers", async () => {
    const client = new Client(topology());
    await client.ask("probe-device", { device: GPU });
    const { ioas } = await client.ask("create-ioas");
    const ranges = [{ start: "0x0", last: "0xfffff" }];
    await client.ask("allow-ranges", { ioas, ranges });
    await client.kernel.setDriver(GPU, "amdgpu");
    expect(await deviceOf(client, GPU)).toMatchObject({ driver: "amdgpu" });
    const { events } = await client.ask("query-events");
    const told = (name: string) => events.find(({ method }: Message) => method === name)?.params;
    expect(told("DEVICE_PROBED")).toMatchObject({
      device: GPU,
      aperture: { start: "0x0", last: "0x7fffffffff" },
    });
    expect(told("ALLOW_LIST_CHANGED")).toMatchObject({ context: "default", ioas, "allow-list": ranges });
    expect(told("DEVICE_CHANGED")).toMatchObject({ device: GPU, driver: "amdgpu", assignable: false });
  });
});

describe("a host whose pages have 64 KiB", () => {
  it("is simulated as it is, and mappings begin and end on such a page where the IOMMU wants it", async () => {
    const pages = { iommu: { "page-size": 65536 }, kernel: { "page-size": 65536 } };
    const client = new Client(topology(pages));
    await client.ask("probe-device", { device: GPU });
    const check = (start: number) =>
      client.ask("check-layout", { layout: [{ name: "ram", start, size: GiB }], devices: [GPU] });
    expect(await check(0)).toMatchObject({ fits: true, exact: true, "iova-alignment": "0x10000" });
    expect(await check(4096)).toMatchObject({ fits: false, windows: [{ misaligned: true, conflicts: [] }] });
    const { ioas } = await client.ask("create-ioas");
    await client.ask("hold-device", { device: GPU });
    expect(await client.ask("attach-device", { device: GPU, ioas })).toMatchObject({
      "iova-alignment": "0x10000",
    });
  });
});

describe("a limit", () => {
  it.each(["max-windows", "max-ranges", "max-causes", "max-hosts", "max-devices"])(
    "%s has an option of its name",
    (name) => {
      expect(parseOptions([`--${name}`, "7"], {}, 0)).toMatchObject({ limits: { [name]: 7 } });
    },
  );

  it("on hosts does not ask for fewer devices", async () => {
    const hosts = ["a", "b"].map((host) => ({ host, allowed: [] }));
    const client = new Client({}, { "max-hosts": 1 });
    const error = await client.refusal("predict-allowed-ranges", { hosts });
    expect(error).toMatchObject({ data: { class: "LimitExceeded", limit: "max-hosts" } });
    expect(error.message).toContain("hosts");
    expect(error.message).not.toContain("devices");
  });
});

describe("a window of one's own layout", () => {
  it("may be one that the guest can do without", async () => {
    const client = new Client(topology());
    await client.ask("probe-device", { device: GPU });
    const hole = { name: "pci-hole64", start: "0x8000000000", size: GiB, required: false };
    const answer = await client.ask("check-layout", { layout: [...low, hole], devices: [GPU] });
    expect(answer).toMatchObject({ fits: true, windows: [{ fits: true }, { required: false, fits: false }] });
  });
});

describe("somebody outside the daemon has a device", () => {
  it("and who is asked for", async () => {
    const client = new Client(topology());
    client.kernel.fileUses.push({ path: "/dev/vfio/devices/vfio2", pid: 4711, uid: 107, command: "qemu" });
    const { devices } = await client.ask("query-devices", { device: GPU, users: true });
    expect(devices).toMatchObject([{ users: [{ pid: 4711, uid: 107, command: "qemu" }] }]);
  });
});

describe("a near miss", () => {
  it("of a device, as lspci prints it, is that device", async () => {
    expect(await deviceOf(new Client(topology()), "83:00.0")).toMatchObject({ device: NIC });
  });

  it("of a size and of a machine is what QEMU makes of it", async () => {
    const client = new Client(topology());
    await client.ask("probe-device", { device: GPU });
    const ask = (machine: object) => client.ask("check-layout", { machine, devices: [GPU] });
    const short = await ask({ type: "q35", version: "9.0", memory: 1.5 * 1024 * GiB });
    expect(await ask({ type: "q35", version: "pc-q35-9.0", memory: "1.5T" })).toEqual(short);
  });
});

describe("by a daemon on a simulated host", () => {
  let daemon: Daemon | undefined;
  afterEach(async () => {
    await daemon?.stop();
    daemon = undefined;
  });

  it("a misspelt method or member is answered with the nearest there is", async () => {
    daemon = await Daemon.start({ topology: topology() });
    const client = await daemon.client();
    await expect(client.request("query-device")).rejects.toThrow("did you mean query-devices?");
    await expect(client.request("query-devices", { avaliable: true })).rejects.toThrow("available");
  });

  it("a helper is handed placeholders, and is told that they are", async () => {
    daemon = await Daemon.start({ topology: topology() });
    const client = await connect({ socket: daemon.socket, descriptors: true });
    await client.call("create-context", { context: "guest" });
    const { result, fds } = await client.callForDescriptors("hand-over-device", {
      device: GPU,
      context: "guest",
    });
    expect(result).toMatchObject({ device: GPU, fds: ["iommufd", "device"], simulated: true });
    expect(fds).toHaveLength(2);
    for (const fd of fds) closeSync(fd);
    await client.close();
  });
});
