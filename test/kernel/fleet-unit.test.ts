import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { DPKG, installAnew, mainPid, property, shell } from "./systemd.ts";

/** Where the unit as shipped publishes into, and under which name. */
const PLACE = "/var/lib/iovad-fleet";
const FILE = `${PLACE}/lab.json`;
const UNIT = "iovad-fleet.service";

interface Published {
  readonly digest: string;
  readonly instance: string;
  readonly heartbeat: string;
  readonly devices: readonly unknown[];
}

let deb: string;

const told = () => JSON.parse(readFileSync(FILE, "utf8")) as Published;
const until = (isSo: () => boolean) => vi.waitUntil(isSo, { timeout: 120_000, interval: 200 });
const lives = () => property("ActiveState", UNIT) === "active";
const hosts = () => shell("iovactl fleet hosts --no-legend || true");

beforeAll(() => {
  deb = installAnew();
  // But for the name, which a guest has none of, and a heart that beats while somebody waits: as it is shipped.
  mkdirSync("/etc/default", { recursive: true });
  writeFileSync(
    "/etc/default/iovad-fleet",
    `IOVAD_FLEET=--to ${PLACE} --name lab --interval 2 --features ${PLACE}\n`,
  );
}, 300_000);
afterAll(() => {
  shell(`${DPKG} --purge iovad 2>/dev/null || true`);
});

it("is not started by the package, which does not know where to publish", () => {
  expect(property("ActiveState", UNIT)).toBe("inactive");
  expect(existsSync(FILE)).toBe(false);
});

it("publishes as nobody in particular, with no capability, and starts the daemon by asking it", async () => {
  shell(`systemctl start ${UNIT}`);
  await until(() => existsSync(FILE));
  const pid = mainPid(UNIT);
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const [uid = ""] = /^Uid:\s+(\d+)/m.exec(status)?.slice(1) ?? [];
  // The users that systemd makes up (systemd.exec(5), DynamicUser=).
  expect(Number(uid)).toBeGreaterThanOrEqual(61_184);
  expect(Number(uid)).toBeLessThanOrEqual(65_519);
  expect(/^CapEff:\s+(\S+)/m.exec(status)?.[1]).toBe("0000000000000000");
  expect(/^Seccomp:\s+(\d)/m.exec(status)?.[1]).toBe("2");
  expect(property("ActiveState", "iovad.service")).toBe("active");
  expect(told().devices.length).toBeGreaterThan(1);
  // Anybody may read it.
  expect(statSync(FILE).mode & 0o777).toBe(0o644);
  expect(readFileSync(`${PLACE}/iovad`, "utf8")).toMatch(/^iovad\.io\/aperture-bits=\d+\n/);
  expect(hosts()).toMatch(/^lab +fresh /);
});

it("publishes what a probe has taught at once", async () => {
  const { digest } = told();
  shell("iovactl probe --all");
  await until(() => told().digest !== digest);
  expect(lives()).toBe(true);
});

it.each([
  ["is restarted", () => shell("systemctl restart iovad.service")],
  ["is killed", () => process.kill(mainPid(), "SIGKILL")],
])(
  "goes on when the daemon %s, and is the same process",
  async (_, die) => {
    const pid = mainPid(UNIT);
    const daemon = mainPid();
    const before = told();
    die();
    await until(() => ![0, daemon].includes(mainPid()));
    const { heartbeat } = told();
    // The second after it: one may have been on its way.
    await until(() => Date.parse(told().heartbeat) > Date.parse(heartbeat) + 3000);
    expect(mainPid(UNIT)).toBe(pid);
    // The daemon has lost nothing, so that the host is what it was.
    expect([told().digest, told().instance]).toEqual([before.digest, before.instance]);
    expect(hosts()).toMatch(/^lab +fresh /);
  },
  300_000,
);

it("is the new program after an upgrade, and publishes again", async () => {
  const pid = mainPid(UNIT);
  shell(`${DPKG} --install ${deb}`);
  await until(() => lives() && ![0, pid].includes(mainPid(UNIT)));
  await until(() => existsSync(FILE));
  expect(hosts()).toMatch(/^lab +fresh /);
}, 300_000);

it("is started again when it is killed, and its host was never gone", async () => {
  const pid = mainPid(UNIT);
  process.kill(pid, "SIGKILL");
  expect(existsSync(FILE)).toBe(true);
  await until(() => ![0, pid].includes(mainPid(UNIT)));
  const since = Date.now();
  await until(() => existsSync(FILE) && Date.parse(told().heartbeat) > since);
});

it("ends cleanly: the host is gone, and not stale", async () => {
  shell(`systemctl stop ${UNIT}`);
  expect(property("Result", UNIT)).toBe("success");
  expect([existsSync(FILE), existsSync(`${PLACE}/iovad`)]).toEqual([false, false]);
  expect(hosts()).toBe("");
});

it("is purged while it runs, and leaves nothing", async () => {
  shell(`systemctl start ${UNIT}`);
  await until(() => existsSync(FILE));
  shell(`${DPKG} --purge iovad`);
  expect(property("LoadState", UNIT)).toBe("not-found");
  const paths = [PLACE, "/var/lib/private/iovad-fleet", "/etc/default/iovad-fleet", "/usr/bin/iovad-fleet"];
  expect(paths.filter((path) => existsSync(path))).toEqual([]);
}, 300_000);
