import { spawnSync } from "node:child_process";
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, connect } from "../../src/client/index.ts";
import {
  asNobody,
  DPKG,
  installAnew,
  mainPid,
  members,
  packageIn,
  property,
  SOCKET,
  shell,
} from "./systemd.ts";

const DEVICE = "0000:00:05.0";
const OTHER = "0000:00:06.0";
const UNITS = "/usr/share/doc/iovad/examples";

/** A member of /proc/PID/status. */
const statusOf = (pid: number, name: string) =>
  new RegExp(`^${name}:\\s+(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];

/** What a user says and gets who is nobody but a member of these groups. */
function asMember(groups: string, script: string): string {
  const { stdout, stderr } = spawnSync("setpriv", [...asNobody(groups), "/usr/bin/node", "-e", script], {
    encoding: "utf8",
    cwd: "/",
  });
  return stdout + stderr;
}

/** Sends requests, prints the answers. */
const asking = (...methods: object[]) => `
  const socket = require("node:net").connect(${JSON.stringify(SOCKET)});
  socket.on("error", ({ code }) => console.log(code)).pipe(process.stdout);
  socket.end(${JSON.stringify(methods.map((each, id) => `${JSON.stringify({ jsonrpc: "2.0", id, ...each })}\n`).join(""))});`;

let deb: string;

beforeAll(() => {
  deb = installAnew();
}, 300_000);

describe("installed", () => {
  it("listens, and runs nothing until somebody connects", () => {
    expect(property("ActiveState", "iovad.socket")).toBe("active");
    expect(property("ActiveState")).toBe("inactive");
    expect(shell("systemctl is-enabled iovad.socket")).toBe("enabled");
  });

  it("has the nodes for its user alone", () => {
    const uid = Number(shell("id -u iovad"));
    shell("udevadm settle");
    for (const node of [
      "/dev/iommu",
      ...readdirSync("/dev/vfio/devices").map((name) => `/dev/vfio/devices/${name}`),
    ]) {
      const { uid: owner, mode } = statSync(node);
      expect({ node, owner, mode: mode & 0o777 }).toEqual({ node, owner: uid, mode: 0o600 });
    }
  });

  it("is started by a member of its group, who asks and changes nothing, and opens no device himself", () => {
    const requests = [{ method: "query-devices" }, { method: "hold-device", params: { device: DEVICE } }];
    const answers = asMember(members(), asking(...requests));
    expect(answers).toContain('"backend":"linux"');
    expect(answers).toContain(`"device":"${DEVICE}"`);
    expect(answers).toContain("PermissionDenied");
    expect(property("ActiveState")).toBe("active");
    const open = "require('fs').openSync('/dev/vfio/devices/vfio0', 'r+')";
    expect(asMember(members(), open)).toContain("EACCES");
  });

  it("is nobody else's to ask", () => {
    expect(asMember("--clear-groups", asking({ method: "query-devices" }))).toBe("EACCES\n");
  });

  it("runs as its user, with two capabilities and a filter", () => {
    const pid = mainPid();
    expect(statusOf(pid, "Uid")?.split(/\s+/)).toEqual(Array(4).fill(shell("id -u iovad")));
    // CAP_SYS_PTRACE is 19, CAP_SYS_RESOURCE 24 (linux/capability.h).
    const both = ((1n << 19n) | (1n << 24n)).toString(16).padStart(16, "0");
    expect(["CapEff", "CapBnd"].map((name) => statusOf(pid, name))).toEqual([both, both]);
    expect(statusOf(pid, "Seccomp")).toBe("2");
    expect(statusOf(pid, "NoNewPrivs")).toBe("1");
  });
});

describe.each([
  ["as shipped", undefined, true],
  ["hardened", "hardened.conf", false],
])("the service %s", (_name, dropIn, seesUsers) => {
  let client: Client;
  beforeAll(async () => {
    if (dropIn !== undefined) {
      mkdirSync("/etc/systemd/system/iovad.service.d", { recursive: true });
      cpSync(`${UNITS}/${dropIn}`, `/etc/systemd/system/iovad.service.d/${dropIn}`);
      shell("systemctl daemon-reload && systemctl restart iovad.service");
    }
    client = await connect({ socket: SOCKET });
  }, 120_000);
  afterAll(() => client?.close());

  it("is the hardened one, or not", () => {
    const command = readFileSync(`/proc/${mainPid()}/cmdline`, "utf8").split("\0");
    expect(command.includes("--jitless")).toBe(dropIn !== undefined);
  });

  it("probes, attaches, and gives back", async () => {
    expect(await client.call("probe-device", { device: DEVICE })).toMatchObject({
      "aperture-source": "probe",
    });
    const { ioas } = await client.call("create-ioas");
    await client.call("hold-device", { device: DEVICE });
    const { ranges } = await client.call("attach-device", { device: DEVICE, ioas });
    expect(await client.call("query-allowed-ranges", { ioas })).toMatchObject({ ranges, devices: [DEVICE] });
    await client.call("release-device", { device: DEVICE });
    await client.call("destroy-ioas", { ioas });
  });

  it("makes several slow calls at a time", async () => {
    const devices = [DEVICE, OTHER];
    await Promise.all(devices.map((device) => client.call("probe-device", { device })));
    const clients = await Promise.all(devices.map(() => connect({ socket: SOCKET })));
    await Promise.all(clients.map((each, i) => each.call("hold-device", { device: devices[i] as string })));
    await Promise.all(
      clients.map((each, i) => each.call("release-device", { device: devices[i] as string })),
    );
    for (const each of clients) void each.close();
    expect(await client.call("query-status")).toMatchObject({ "held-devices": 0, mismatches: 0 });
  });

  it("hands a device over to a program", () => {
    const seen =
      'const { readlinkSync } = require("fs"); for (const fd of process.argv.slice(1)) console.log(readlinkSync("/proc/self/fd/" + fd));';
    const command = ["/usr/bin/node", "-e", seen, "{iommufd}", `{device:${DEVICE}}`];
    const { stdout, stderr } = spawnSync(
      "iovad-run",
      ["--rlimit-mode", "--device", DEVICE, "--", ...command],
      {
        encoding: "utf8",
      },
    );
    expect({ stdout, stderr }).toEqual({ stdout: "/dev/iommu\n/dev/vfio/devices/vfio0\n", stderr: "" });
  });

  it("names the users of a device as far as it can see them", async () => {
    const fd = openSync("/dev/vfio/devices/vfio0", "r+");
    const { devices } = await client.call("query-devices", { device: DEVICE, users: true });
    const expected = seesUsers ? [expect.objectContaining({ pid: process.pid, uid: 0 })] : [];
    expect(devices[0]?.users ?? []).toEqual(expected);
    closeSync(fd);
    // And says what it cannot see.
    const { kernel } = await client.call("query-status");
    expect(kernel.missing.map(({ what }) => what)).toEqual(seesUsers ? [] : ["CAP_SYS_PTRACE"]);
  });

  it("reads its configuration again", async () => {
    const hold = { method: "hold-device", params: { device: DEVICE, context: "nowhere" } };
    writeFileSync("/etc/iovad/iovad.json", JSON.stringify({ "control-group": ["iovad"] }));
    shell("systemctl reload iovad.service");
    expect(asMember(members(), asking(hold))).toContain("ContextNotFound");
    writeFileSync("/etc/iovad/iovad.json", "{}\n");
    shell("systemctl reload iovad.service");
    expect(asMember(members(), asking(hold))).toContain("PermissionDenied");
  });

  it("is stopped, and started by the next who asks", () => {
    shell("systemctl stop iovad.service");
    expect(property("NFileDescriptorStore")).toBe("0");
    expect(asMember(members(), asking({ method: "query-version" }))).toContain('"name":"iovad"');
    expect(property("Result")).toBe("success");
  });
});

describe("upgraded", () => {
  const NEWER = "999.0.0";

  /** The package as a later version. */
  function makeNewer(): string {
    shell(`dpkg-deb --raw-extract ${deb} /tmp/newer`);
    shell(`sed -i 's/^Version: .*/Version: ${NEWER}/' /tmp/newer/DEBIAN/control`);
    shell(`sed -i 's/"version":"[^"]*"/"version":"${NEWER}"/' /tmp/newer/usr/lib/iovad/package.json`);
    return shell("dpkg-deb -Znone --build /tmp/newer /tmp/newer.deb >/dev/null && echo /tmp/newer.deb");
  }

  // Where the history of the checkout is not whole, lab.sh cannot make it.
  const older = packageIn("/run/lab/older");

  it.skipIf(older === undefined)(
    "from the first program that could, it has all that that one held",
    async () => {
      // It names the bundle, after what is in it.
      const program = () => readFileSync("/usr/bin/iovad", "utf8");
      const today = program();
      shell(`${DPKG} --install ${older} && systemctl restart iovad.service`);
      expect(program()).not.toBe(today);
      const before = await connect({ socket: SOCKET });
      await before.call("create-context", { context: "vm" });
      const { ioas } = await before.call("create-ioas", { context: "vm" });
      await before.call("probe-device", { device: OTHER });
      await before.call("hold-device", { device: OTHER, context: "vm" });
      await before.call("hold-device", { device: DEVICE, context: "vm" });
      await before.call("attach-device", { device: DEVICE, ioas });
      const kept = [{ start: "0x100000", last: "0x1fffff" }];
      await before.call("allow-ranges", { context: "vm", ioas, ranges: kept });
      const { ranges, generation } = await before.call("query-allowed-ranges", { context: "vm", ioas });
      const { instance, sequence } = await before.call("subscribe");
      await before.close();
      const pid = mainPid();
      shell(`${DPKG} --install ${deb}`);
      expect([program(), mainPid() === pid]).toEqual([today, false]);
      const after = await connect({ socket: SOCKET });
      expect(await after.call("subscribe", { since: { instance, sequence } })).toMatchObject({
        instance,
        resumed: true,
      });
      const allowed = await after.call("query-allowed-ranges", { context: "vm", ioas });
      expect(allowed).toMatchObject({ ranges, devices: [DEVICE] });
      expect(allowed.generation).toBeGreaterThanOrEqual(generation);
      expect((await after.call("query-ioas", { context: "vm" })).ioas).toMatchObject([
        { ioas, "allow-list": kept },
      ]);
      expect(await after.call("query-reserved-ranges", { device: OTHER })).toMatchObject({ source: "probe" });
      expect(
        (await after.call("query-devices", { context: "vm" })).devices.map(({ state }) => state),
      ).toEqual(["attached", "held"]);
      expect(
        (await after.call("query-events", { events: ["RESTARTED"] })).events.at(-1)?.params.lost,
      ).toEqual([]);
      await after.call("destroy-context", { context: "vm" });
      expect(await after.call("query-status")).toMatchObject({ "held-devices": 0, mismatches: 0 });
      await after.close();
    },
    300_000,
  );

  it("is the new program, and has what the old one held", async () => {
    const config = '{ "max-contexts-per-uid": 7 }\n';
    writeFileSync("/etc/iovad/iovad.json", config);
    const older = await connect({ socket: SOCKET });
    const { ioas } = await older.call("create-ioas");
    await older.call("hold-device", { device: DEVICE });
    const { ranges } = await older.call("attach-device", { device: DEVICE, ioas });
    const { instance } = await older.call("subscribe");
    await older.close();
    const before = mainPid();
    shell(`${DPKG} --install ${makeNewer()}`);
    expect(mainPid()).not.toBe(before);
    const newer = await connect({ socket: SOCKET });
    expect(await newer.call("query-version")).toMatchObject({ version: NEWER });
    expect(await newer.call("query-allowed-ranges", { ioas })).toMatchObject({ ranges, devices: [DEVICE] });
    expect(await newer.call("subscribe")).toMatchObject({ instance });
    expect(await newer.call("query-status")).toMatchObject({ "held-devices": 1, mismatches: 0 });
    await newer.close();
    expect(readFileSync("/etc/iovad/iovad.json", "utf8")).toBe(config);
  }, 300_000);
});

describe("purged", () => {
  it("leaves nothing", () => {
    const installed = shell("dpkg --listfiles iovad").split("\n");
    expect(installed).toContain("/usr/bin/iovad");
    shell(`${DPKG} --purge iovad`);
    const left = installed.filter((path) => existsSync(path) && !statSync(path).isDirectory());
    expect(left).toEqual([]);
    expect(spawnSync("getent", ["passwd", "iovad"]).status).toBe(2);
    expect(spawnSync("getent", ["group", "iovad"]).status).toBe(2);
    for (const path of [
      "/etc/iovad",
      "/run/iovad",
      "/usr/lib/iovad",
      "/etc/systemd/system/sockets.target.wants/iovad.socket",
    ]) {
      expect(existsSync(path), path).toBe(false);
    }
    expect(statSync("/dev/vfio/devices/vfio0").uid).toBe(0);
    expect(property("LoadState")).toBe("not-found");
  }, 300_000);
});
