import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isChosen } from "../../src/ctl/fleet/options.ts";
import { DirectoryStore } from "../../src/fleet/stores/directory.ts";
import type { WireProfile } from "../../src/fleet/stores/store.ts";
import { profile, record } from "../fleet/hosts.ts";
import { iovactl, MAIN } from "./command-line.ts";

const WIDE_PROFILE = profile("d1", "0xffffffffffff");
const NARROW_PROFILE = profile("d2", "0x1ffffffff");

let directory: string;
let store: DirectoryStore;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "iovad-fleet-"));
  store = new DirectoryStore(directory);
  await publish("wide-1", WIDE_PROFILE);
  await publish("wide-2", WIDE_PROFILE);
  await publish("narrow", NARROW_PROFILE);
  await publish("silent", profile("d3", "0xffffff"), { heartbeat: "2026-11-20T00:00:00.000Z" });
  writeFileSync(join(directory, "half.json"), '{"host":"ha');
});
afterAll(() => rmSync(directory, { recursive: true }));

async function publish(host: string, what: WireProfile, changes: object = {}): Promise<void> {
  await store.publish(record(host, { digest: what.digest, ...changes }), what);
}

const run = (...args: string[]) => iovactl(["fleet", "--from", directory, ...args]);

async function json(...args: string[]) {
  const { status, stdout } = await run(...args, "-j");
  return { status, answer: JSON.parse(stdout) };
}

const WIDE = ["--hosts", "wide-*"];
const FRESH = [...WIDE, "--hosts", "narrow"];

it("hosts tells state, age, devices, digest and class of each, and what is wrong", async () => {
  const { status, answer } = await json("hosts");
  expect(status).toBe(0);
  expect(answer.hosts).toMatchObject([
    { host: "half", state: "unreadable", age: null, devices: null },
    { host: "narrow", state: "fresh", devices: 1, digest: NARROW_PROFILE.digest, exact: true },
    { host: "silent", state: "stale", age: expect.any(Number) },
    { host: "wide-1", state: "fresh", digest: WIDE_PROFILE.digest },
    { host: "wide-2", state: "fresh", class: WIDE_PROFILE.digest.slice(0, 8) },
  ]);
  expect(answer.classes).toBe(3);
  expect(answer.troubles.join()).toContain("half cannot be read: it is no JSON");
  expect((await json("hosts", ...WIDE)).answer.troubles).toEqual([]);
});

it("check is yes when the layout is valid on all hosts, and says who is in the way when not", async () => {
  const fits = await json("check", "-m", "4G", ...FRESH);
  expect(fits).toMatchObject({ status: 0, answer: { fits: true, exact: true, stale: [], unreadable: [] } });
  const broken = await json("check", "-m", "16G", ...FRESH);
  expect(broken).toMatchObject({
    status: 1,
    answer: { fits: false, "iova-alignment": "0x1000", blockers: [] },
  });
  const conflicts = broken.answer.windows.flatMap(({ conflicts }: { conflicts: unknown[] }) => conflicts);
  expect(conflicts).toContainEqual({
    ...{ start: "0x200000000", last: "0x47fffffff", causes: [{ kind: "host", host: "narrow" }] },
  });
  expect(broken.answer.remedies).toContainEqual({
    ...{ kind: "without-hosts", hosts: ["narrow"], detail: expect.stringContaining("leave out narrow") },
  });
});

it("a stale host counts, is named where it changes the answer, and makes nothing exact", async () => {
  const { answer } = await json("check", "--layout", "ram=0x0+32M", ...WIDE, "--hosts", "silent");
  expect(answer).toMatchObject({ fits: false, exact: false, stale: ["silent"] });
  expect(answer.hint).toContain("silent");
  const small = await json("check", "--layout", "ram=0x0+1M", ...WIDE, "--hosts", "silent");
  expect(small.answer).toMatchObject({ fits: true, exact: false, stale: [] });
});

it.each(["check -m 1G", "predict", "find 1G", "outliers"])(
  "%s promises nothing when nothing is known of any host",
  async (question) => {
    const { status, stdout, stderr } = await run(...question.split(" "), "--hosts", "half");
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain("nothing is known of the host: half: it is no JSON");
  },
);

it("predict and find tell what is valid on all", async () => {
  const predicted = await json("predict", ...FRESH);
  expect(predicted.answer).toMatchObject({
    ranges: [{ start: "0x0", last: "0x1ffffffff" }],
    exact: true,
    excluded: [
      { start: "0x200000000", last: "0xffffffffffff", causes: [{ kind: "host", host: "narrow" }] },
      { causes: [{ host: "narrow" }, { host: "wide-1" }, { host: "wide-2" }] },
    ],
  });
  const found = await json("find", "1G", "--not-below", "0x1", "--alignment", "1G", ...FRESH);
  expect(found).toMatchObject({ status: 0, answer: { range: { start: "0x40000000", last: "0x7fffffff" } } });
  expect(await json("find", "1T", ...FRESH)).toMatchObject({ status: 1, answer: { range: null } });
});

it("fits tells which hosts can take the guest with its devices, and why the others cannot", async () => {
  const { status, answer } = await json("fits", "-m", "16G", "--want", "1:10de:20b5");
  expect(status).toBe(0);
  const reasons = answer.hosts.map((each: { host: string; reason?: string }) => [each.host, each.reason]);
  expect(reasons).toEqual([
    ["half", "unreadable"],
    ["narrow", "layout"],
    ["silent", "layout"],
    ["wide-1", undefined],
    ["wide-2", undefined],
  ]);
  expect(answer.hosts[3]).toEqual({ host: "wide-1", fits: true, exact: true, devices: ["0000:41:00.0"] });
  expect(answer).toMatchObject({ stale: ["silent"], unreadable: ["half"] });
  expect((await run("fits", "-m", "16G")).stdout).toMatch(/^silent +no +- +layout, stale /m);
  const none = await json("fits", "--want", "0x8086:1592", ...WIDE);
  expect(none).toMatchObject({ status: 1, answer: { fits: false, hosts: [{ reason: "no-device" }, {}] } });
});

it("outliers tells who costs the others what, greatest loss first", async () => {
  const { answer } = await json("outliers", ...FRESH);
  expect(answer.outliers).toEqual([
    {
      hosts: [{ host: "narrow", devices: ["0000:41:00.0"] }],
      ranges: [{ start: "0x200000000", last: "0xffffffffffff" }],
      bytes: "0xfffe00000000",
      gain: "0xfffe00000000",
    },
  ]);
});

it("watch tells who is there, who breaks the layout, who goes, and that it is mended then", async () => {
  const args = ["fleet", "--from", directory, "watch", "-m", "16G", ...WIDE, "--hosts", "late", "-j"];
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const events: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const { method, params } = JSON.parse(line);
    events.push(`${method} ${params.host}`);
    if (events.length === 2) await publish("late", profile("d4", "0xffffffff"));
    if (method === "LAYOUT_BROKEN") await store.remove("late");
    if (method === "LAYOUT_MENDED") child.kill("SIGTERM");
  }
  expect(events).toEqual([
    "HOST_CAME wide-1",
    "HOST_CAME wide-2",
    "HOST_CAME late",
    "LAYOUT_BROKEN late",
    "HOST_GONE late",
    "LAYOUT_MENDED late",
  ]);
});

it.each([
  ["no question", [], "fleet what?"],
  ["a question that there is none of", ["chek", "-m", "1G"], "check"],
  ["patterns that match nothing", ["hosts", "--hosts", "x*"], "none of the 5 hosts"],
  ["no guest", ["check"], "which guest?"],
  ["a machine that there is none of", ["check", "--machine", "q36", "-m", "1G"], "q35"],
  ["a wish that is none", ["fits", "--want", "two:10de:20b5"], "--want two:10de:20b5"],
  ["a guest that nobody asks about", ["hosts", "-m", "1G"], "fleet hosts takes no --memory"],
  ["devices that check does not ask about", ["check", "-m", "1G", "--want", "1:*:*"], "takes no --want"],
  ["a guest where only a size is asked about", ["find", "1G", "-m", "1G"], "fleet find takes no --memory"],
  ["a direction of what is not looked for", ["predict", "--down"], "fleet predict takes no --down"],
  ["two places", ["hosts", "--nats", "nats://127.0.0.1:1"], "give one of them"],
])("refuses %s with one line and status 2", async (_, args, message) => {
  const { status, stderr } = await run(...args);
  expect(stderr).toMatch(/^iovactl: [^\n]*\n$/);
  expect(stderr).toContain(message);
  expect(status).toBe(2);
});

it("a store that is not there is a matter of status 3", async () => {
  const { status, stderr } = await run("hosts", "--from", join(directory, "none"));
  expect({ status, stderr }).toEqual({ status: 3, stderr: expect.stringContaining("there is no directory") });
});

it("as is one that no host has published at", async () => {
  const empty = mkdtempSync(join(tmpdir(), "iovad-fleet-"));
  const { status, stderr } = await run("hosts", "--from", empty);
  expect({ status, stderr }).toEqual({ status: 3, stderr: expect.stringContaining("no host has published") });
  rmSync(empty, { recursive: true });
});

it.each([
  ["a-b-c", "*-?-*", true],
  ["a-b-c", "*-?-", false],
  ["a-b-c", "a*c", true],
  ["a-b-c", "*b*", true],
  ["a-b-c", "a-b-c*", true],
  ["a-b-c", "a-b", false],
  ["aab", "*ab", true],
  ["a.b", "a?b", true],
  ["a+b", "a.b", false],
  ["a", "", false],
  ["a", "**", true],
  ["-".repeat(4000), "*-*-*-*-*-*-gpu", false],
])("a pattern is of the hosts that it looks like, and finds them quickly (%#)", (host, pattern, isOne) => {
  const begin = performance.now();
  expect(isChosen(host, [pattern])).toBe(isOne);
  expect(performance.now() - begin).toBeLessThan(1000);
});
