import { afterEach, beforeEach, expect, it } from "vitest";
import { FakeServer, type Peer } from "../client/fake-server.ts";
import { iovactl } from "./command-line.ts";

let server: FakeServer;
beforeEach(async () => {
  server = await FakeServer.start();
});
afterEach(() => server.stop());

/** Runs a command line against a daemon that does what it likes with it. */
async function against(serve: (peer: Peer) => Promise<void>, ...args: string[]) {
  const served = server.greeted().then(async (peer) => {
    peer.socket.on("end", () => peer.socket.end());
    await serve(peer);
  });
  const [ran] = await Promise.all([iovactl(["-s", server.path, ...args]), served]);
  return ran;
}

/** Clears the screen, names the window, turns the text around, and begins a line of its own. */
const EVIL = "\u001b[2J\u001b]0;x\u0007\u009b2J\u202e\u007f\r\nThere is nothing wrong.";
const DEVICE = {
  ...{ device: EVIL, group: 1, iommu: EVIL, pci: null, "numa-node": null, driver: EVIL, "vfio-device": null },
  ...{ state: "observed", context: null, ioas: null, owner: null, assignable: true, available: true },
  ...{ blockers: [], users: [{ pid: 1, uid: 0, command: EVIL }] },
};
const devices = async (peer: Peer) => void (await peer.answer("query-devices", { devices: [DEVICE] }));

it.each([["devices"], ["devices", "--tree"]])(
  "has nothing that a name says done to the terminal: %s",
  async (...args) => {
    const { stdout } = await against(devices, ...args);
    expect(stdout).toContain("?[2J?]0;x??2J????There is nothing wrong.");
    expect(stdout).not.toMatch(/[^\n\P{Cc}]|\p{Bidi_Control}|^There/mu);
  },
);

it("has nothing but colours of its own go to the terminal with them", async () => {
  const { stdout } = await against(devices, "devices", "--color=always");
  expect(stdout).toContain(`\u001b[32myes\u001b[39m`);
  expect(stdout).toContain("?[2J?]0;x??2J????There is nothing wrong.");
});

it("prints JSON of the same value that does nothing to a terminal either", async () => {
  const { stdout } = await against(devices, "-j", "devices");
  expect(JSON.parse(stdout)).toEqual({ devices: [DEVICE] });
  expect(stdout.trimEnd()).not.toMatch(/\p{Cc}|\p{Bidi_Control}/u);
});

it("has nothing done to the terminal by what the daemon refuses with", async () => {
  const refuse = async (peer: Peer) => {
    const { id } = (await peer.next()) as { id: number };
    peer.send({ id, error: { code: -32001, message: EVIL, data: { class: "DeviceNotFound" } } });
  };
  const { stderr } = await against(refuse, "devices");
  expect(stderr).toBe("iovactl: ?[2J?]0;x??2J?? There is nothing wrong.\n");
});

it("puts nothing into a command line that means something to a shell", async () => {
  const names = ["0000:01:00.0", "$(reboot)", "`reboot`", ";reboot", "a b", "*", "'", EVIL];
  const named = { devices: names.map((device) => ({ ...DEVICE, device })) };
  const serve = async (peer: Peer) => void (await peer.answer("query-devices", named));
  const { stdout } = await against(serve, "complete", "--", "-s", server.path, "reserved", "");
  expect(stdout).toBe("0000:01:00.0\n");
});

const FORMLESS: [string, unknown][] = [
  ["nothing", null],
  ["a text", "x"],
  ["no members", {}],
];
it.each(
  FORMLESS.flatMap(([what, result]) =>
    [["devices"], ["check", "-m", "4G", "01:00.0"], ["allowed", "1"]].map((args) => ({ what, result, args })),
  ),
)("takes $what for no answer, and not for a no: $args.0", async ({ result, args }) => {
  const serve = async (peer: Peer) => {
    for (let each = await peer.next(); each; each = await peer.next()) peer.send({ id: each.id, result });
  };
  const { status, stderr } = await against(serve, ...args);
  expect(status).toBe(3);
  expect(stderr).toMatch(/^iovactl: what has come is no answer that this iovactl understands: .*\n$/);
});

it.each([5, [null], [{}], [{ causes: [null] }], "x"])(
  "tells of a conflict also without its ranges: %j",
  async (conflicts) => {
    const refuse = async (peer: Peer) => {
      const { id } = (await peer.next()) as { id: number };
      peer.send({ id, error: { code: -32008, message: "no", data: { class: "RangeConflict", conflicts } } });
    };
    const { status, stderr } = await against(refuse, "devices");
    expect({ status, stderr }).toEqual({ status: 1, stderr: "iovactl: no\n" });
  },
);

it.each([["devices"], ["devices", "--tree"], ["history"]])(
  "prints as much as there is: %s",
  async (...args) => {
    const count = 150_000;
    const event = {
      method: "DEVICE_ADDED",
      params: { device: "d", sequence: 1, timestamp: { seconds: 1, microseconds: 0 } },
    };
    const result = {
      devices: Array.from({ length: count }, (_, at) => ({
        ...DEVICE,
        device: `d${at}`,
        users: [],
        driver: "x",
        iommu: "i",
      })),
      events: Array(count).fill(event),
    };
    const serve = async (peer: Peer) => {
      const { id } = (await peer.next()) as { id: number };
      peer.send({ id, result });
    };
    const { status, stdout, stderr } = await against(serve, ...args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout.split("\n").length).toBeGreaterThan(count);
  },
);
