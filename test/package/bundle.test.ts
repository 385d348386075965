import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Daemon } from "../daemon/daemon.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const { bin, dependencies, version } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8"));

/** What `npm install` makes of the package, but for packages that only its types need. */
let installed: string;

beforeAll(() => {
  const directory = mkdtempSync(join(tmpdir(), "iovad-package-"));
  const packed = execFileSync(
    "npm",
    ["pack", "--ignore-scripts", "--silent", "--pack-destination", directory],
    {
      cwd: ROOT,
      encoding: "utf8",
    },
  );
  execFileSync("tar", ["--extract", "--file", packed.trim()], { cwd: directory });
  installed = join(directory, "package");
  mkdirSync(`${installed}/node_modules`);
  for (const name of ["koffi", "@koromix"]) {
    symlinkSync(`${ROOT}node_modules/${name}`, `${installed}/node_modules/${name}`);
  }
});

afterAll(() => rmSync(join(installed, ".."), { recursive: true }));

/** The scripts of a folder and those below it. */
function scripts(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.c?js$/.test(file))
    .map((file) => join(directory, file));
}

it.each(Object.entries(bin as Record<string, string>))("%s runs as installed", (_name, path) => {
  const { status, stdout } = spawnSync(process.execPath, [join(installed, path), "--version"], {
    encoding: "utf8",
  });
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining(version) });
});

it("the way to a NATS server is in the bundle", () => {
  const args = ["fleet", "--nats", "127.0.0.1:1", "hosts"];
  const { stderr } = spawnSync(process.execPath, [join(installed, bin.iovactl), ...args], {
    encoding: "utf8",
  });
  expect(stderr).toContain("no NATS server at 127.0.0.1:1: connection refused");
});

it("the daemon answers as installed, and its threads work", async () => {
  const daemon = await Daemon.start({ main: join(installed, bin.iovad) });
  const client = await daemon.client();
  expect(await client.call("query-version")).toMatchObject({ name: "iovad", version });
  // A search of /proc is made by a thread.
  expect(await client.call("query-devices", { users: true })).toHaveProperty("devices");
  expect(await daemon.stop()).toBe(0);
});

it("what is installed loads nothing but Node.js and koffi", () => {
  const found = scripts(`${installed}/dist`).flatMap((file) =>
    Array.from(
      readFileSync(file, "utf8").matchAll(/\b(?:from[ ]?|require\(|load\()["`]([a-z@][\w:@/.-]*)["`]/g),
      ([, name]) => name as string,
    ),
  );
  expect(found).toContain("node:net");
  const isOfNode = (name: string) => builtinModules.includes(name.replace(/^node:/, ""));
  expect([...new Set(found)].filter((name) => !isOfNode(name))).toEqual(["koffi"]);
});

it("a thread does not load the daemon", () => {
  for (const name of ["thread", "search"]) {
    const text = readFileSync(join(installed, `dist/kernel/linux/${name}.js`), "utf8");
    expect(text).toContain("parentPort");
    expect(text).not.toContain("chunks/daemon/");
  }
});

it("no script has a character that makes V8 keep it in twice the memory", () => {
  const files = scripts(`${installed}/dist`);
  expect(files).toContain(join(installed, "dist/main.cjs"));
  expect(files.filter((file) => /[^\0-\x7f]/.test(readFileSync(file, "utf8")))).toEqual([]);
});

it("whose work is in it stands beside it, with the licence", () => {
  const notices = readFileSync(join(installed, "dist/chunks/LICENCES.txt"), "utf8");
  for (const name of ["json-rpc-2.0", "pino", "zod", "safe-stable-stringify"]) {
    const { version } = JSON.parse(readFileSync(`${ROOT}node_modules/${name}/package.json`, "utf8"));
    expect(notices).toContain(`${name} ${version}\n`);
  }
  expect(notices).toContain("Permission is hereby granted");
});

it("it depends on what its types and its scripts name", () => {
  const named = new Set<string>(["koffi"]);
  const seen = new Set<string>();
  const walk = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const [, path = ""] of readFileSync(file, "utf8").matchAll(/(?:from |import\()"([^"]+)"/g)) {
      if (path.startsWith(".")) walk(join(file, "..", path.replace(/\.[jt]s$/, ".d.ts")));
      else if (!path.startsWith("node:")) named.add(path.split("/", path.startsWith("@") ? 2 : 1).join("/"));
    }
  };
  const types = join(installed, "dist/client/index.d.ts");
  expect(existsSync(types)).toBe(true);
  walk(types);
  named.delete("iovad");
  expect(Object.keys(dependencies).sort()).toEqual([...named].sort());
});
