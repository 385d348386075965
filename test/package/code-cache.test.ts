import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { Daemon } from "../daemon/daemon.ts";
import { fewOf } from "../runs.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** A copy of what is built, without its code cache. */
const copy = mkdtempSync(join(tmpdir(), "iovad-code-cache-"));
const chunks = join(copy, "dist/chunks/daemon");
afterAll(() => rmSync(copy, { recursive: true }));
for (const path of ["package.json", "dist/main.cjs", "dist/code-cache.js", "dist/chunks/daemon"]) {
  cpSync(ROOT + path, join(copy, path), { recursive: true });
}
symlinkSync(`${ROOT}node_modules`, join(copy, "node_modules"));

const make = (...options: string[]) =>
  spawnSync(process.execPath, [...options, join(copy, "dist/code-cache.js")], { encoding: "utf8" });
const filesWith = (end: string) =>
  readdirSync(chunks)
    .filter((name) => name.endsWith(end))
    .map((name) => join(chunks, name));
const KINDS = ["-simulated.cache", "-supervised.cache", "-unsupervised.cache"];
/** Of the kind that tests start. */
const [cache = ""] = filesWith("-simulated.cache");
const bundle = filesWith(".cjs").find((path) => cache.startsWith(path.replace(/\.cjs$/, ""))) as string;

/** Whether V8 takes a cache for the bundle. */
function isTaken(path: string): boolean {
  const script = `
    import { readFileSync } from "node:fs";
    import { Script } from "node:vm";
    const [, bundle, cache] = process.argv;
    const options = { filename: bundle, cachedData: readFileSync(cache) };
    console.log(!new Script(readFileSync(bundle, "latin1"), options).cachedDataRejected);`;
  const args = ["--input-type=module", "-e", script, bundle, path];
  return execFileSync(process.execPath, args, { encoding: "utf8" }) === "true\n";
}

async function answers(): Promise<unknown> {
  const daemon = await Daemon.start({ main: join(copy, "dist/main.cjs") });
  const client = await daemon.client();
  const { name } = await client.call("query-version");
  expect(await daemon.stop()).toBe(0);
  return name;
}

beforeEach(() => {
  for (const path of filesWith(".cache")) rmSync(path, { recursive: true });
});

describe("V8's code cache of the daemon", () => {
  it("is made for each kind of start, and nothing else is left", () => {
    const before = readdirSync(chunks);
    expect(make()).toMatchObject({ status: 0, stdout: "", stderr: "" });
    const made = filesWith(".cache");
    expect(made).toEqual(KINDS.flatMap(filesWith));
    expect(readdirSync(chunks).length).toBe(before.length + KINDS.length);
    expect(made.map(isTaken)).toEqual([true, true, true]);
  });

  it("has no restart for a start that is none", () => {
    const [simulated, supervised, unsupervised] = KINDS.map((end) => {
      return statSync(cache.replace(copy, ROOT).replace(/-simulated\.cache$/, end)).size;
    }) as [number, number, number];
    expect(simulated).toBeLessThan(supervised);
    expect(unsupervised).toBeLessThan(supervised);
  });

  it("is made of the kinds that there are", () => {
    const { status, stderr } = spawnSync(process.execPath, [join(copy, "dist/code-cache.js"), "--simulate"], {
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: "iovad: the code cache takes supervised, unsupervised, simulated, or nothing for all of them\n",
    });
    expect(filesWith(".cache")).toEqual([]);
  });

  it("says when one could not be made", () => {
    const env = { ...process.env, TMPDIR: join(copy, "nowhere") };
    const { status } = spawnSync(process.execPath, [join(copy, "dist/code-cache.js")], {
      env,
      encoding: "utf8",
    });
    expect(status).toBe(1);
    expect(filesWith(".cache")).toEqual([]);
  });

  it("may be made by several at once", async () => {
    const before = readdirSync(chunks);
    const makers = [1, 2, 3, 4].map(() =>
      spawn(process.execPath, [join(copy, "dist/code-cache.js")], { stdio: ["ignore", "ignore", "pipe"] }),
    );
    const ended = makers.map(async (maker) => {
      const said = maker.stderr.toArray();
      return [...(await once(maker, "exit")), Buffer.concat(await said).toString()];
    });
    expect(await Promise.all(ended)).toEqual(makers.map(() => [0, null, ""]));
    expect(readdirSync(chunks).length).toBe(before.length + KINDS.length);
    expect(filesWith(".cache").map(isTaken)).toEqual([true, true, true]);
  });

  it("is done without where it cannot be written", () => {
    mkdirSync(cache);
    const { status, stdout, stderr } = make();
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
    expect(stderr).toMatch(/^iovad: no code cache; the daemon works, and starts slower: .*\n$/);
    expect(filesWith("").filter((path) => path.includes(".cache"))).toEqual(KINDS.flatMap(filesWith));
  });

  it("is for one architecture and one Node.js, which V8 does not look at", () => {
    expect(cache).toContain(`-${process.version}-${process.arch}-`);
  });

  it.each(KINDS)("is the build's, too: %s", (end) => {
    expect(isTaken(cache.replace(copy, ROOT).replace(/-simulated\.cache$/, end))).toBe(true);
  });

  const SPOILT: [string, () => void][] = [
    ["is not there", () => {}],
    ["is cut short", () => writeFileSync(cache, readFileSync(cache.replace(copy, ROOT)).subarray(0, 5000))],
    ["is empty", () => writeFileSync(cache, "")],
    ["may not be read", () => mkdirSync(cache)],
    ["is something else", () => writeFileSync(cache, "x".repeat(100_000))],
    [
      "was made with other flags",
      () => {
        expect(make("--jitless")).toMatchObject({ status: 0 });
        renameSync(filesWith("-simulated.cache")[0] as string, cache);
      },
    ],
  ];
  it.each(fewOf(SPOILT, 2))("may be missed: where it %s, the daemon answers", async (_, spoil) => {
    spoil();
    expect(await answers()).toBe("iovad");
  });
});
