import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dateOf } from "../../src/package/tree.ts";
import { Daemon } from "../daemon/daemon.ts";
import { IS_LONG } from "../runs.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const { bin, version } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8"));

const has = (command: string) => IS_LONG && spawnSync(command, ["--version"]).status === 0;
const HAS_DPKG = has("dpkg-deb");
const HAS_LINTIAN = has("lintian");
if (IS_LONG && !HAS_DPKG) console.warn("deb.test.ts: no dpkg-deb, so no package is made");
if (IS_LONG && !HAS_LINTIAN) console.warn("deb.test.ts: no lintian, so nobody looks the package over");

const directory = mkdtempSync(join(tmpdir(), "iovad-deb-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** Makes the package as somebody with this umask and time zone. */
function make(umask: string, zone: string): string {
  const into = mkdtempSync(join(directory, "made-"));
  const shell = `umask ${umask}; exec "$0" "$1" "$2"`;
  const deb = execFileSync("sh", ["-c", shell, process.execPath, `${ROOT}dist/package/deb.js`, into], {
    encoding: "utf8",
    env: { ...process.env, TZ: zone },
  });
  return deb.trim();
}

// To make it takes seconds; what it has in common with npm's package, bundle.test.ts looks at each time.
describe.skipIf(!HAS_DPKG)("the package", () => {
  const root = join(directory, "root");
  let deb: string;
  const field = (name: string) =>
    execFileSync("dpkg-deb", ["--field", deb, name], { encoding: "utf8" }).trim();

  beforeAll(() => {
    deb = make("022", "UTC");
    execFileSync("dpkg-deb", ["--raw-extract", deb, root]);
  });

  it("is the same bytes whoever makes it", () => {
    const again = make("077", "Asia/Tokyo");
    expect(again).not.toBe(deb);
    expect(readFileSync(again).equals(readFileSync(deb))).toBe(true);
  });

  it("is named after its version, which is that of its changelog", () => {
    expect(basename(deb)).toBe(`iovad_${version}_${field("Architecture")}.deb`);
    expect(field("Version")).toBe(version);
    expect(readFileSync(`${ROOT}src/package/debian/changelog`, "utf8")).toMatch(`iovad (${version}) `);
  });

  it("needs the Node.js that the project needs", () => {
    const { engines } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8"));
    expect(field("Depends")).toContain(`nodejs (${engines.node.replace(/>=/, ">= ")})`);
  });

  it("installs every command, and none that is not there", () => {
    expect(readdirSync(`${root}/usr/bin`).sort()).toEqual(Object.keys(bin).sort());
    for (const name of Object.keys(bin)) {
      const target = join(root, "usr/bin", readlinkSync(join(root, "usr/bin", name)));
      const { status, stdout } = spawnSync(process.execPath, [target, "--version"], { encoding: "utf8" });
      expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining(version) });
    }
  });

  it("has what the unit starts, hardened or not", () => {
    const started = ["iovad.service", "hardened.conf"].flatMap((file) =>
      Array.from(
        readFileSync(`${ROOT}systemd/${file}`, "utf8").matchAll(/^ExecStart=(.+)$/gm),
        ([, command = ""]) => command.split(" ").filter((word) => /^\/(usr|etc)\/.*iovad/.test(word)),
      ).flat(),
    );
    expect(started.filter((path) => path === "/usr/bin/iovad")).toHaveLength(2);
    // Where earlier versions of hardened.conf have it.
    started.push("/usr/lib/iovad/dist/main.js");
    const exists = (path: string) =>
      spawnSync("test", ["-L", root + path]).status === 0 || existsSync(root + path);
    expect(started.filter((path) => !exists(path))).toEqual([]);
  });

  it("has documents whose links lead to what is installed", () => {
    const documents = join(root, "usr/share/doc/iovad");
    const texts = readdirSync(documents).filter((name) => name.endsWith(".md"));
    expect(texts.sort()).toEqual(["README.md", "fleet.md", "iovad.md"]);
    const links = texts.flatMap((name) =>
      Array.from(
        readFileSync(join(documents, name), "utf8").matchAll(/\]\(([^)#\s]*)/g),
        ([, to = ""]) => to,
      ).filter((to) => to !== "" && !/^\w+:/.test(to)),
    );
    expect(links).toContain("/lib/systemd/system/iovad.service");
    expect(links.filter((to) => !to.startsWith("/") || !existsSync(root + to))).toEqual([]);
  });

  it("runs without the checkout", async () => {
    const daemon = await Daemon.start({ main: `${root}/usr/lib/iovad/dist/main.cjs` });
    const client = await daemon.client();
    expect(await client.call("query-version")).toMatchObject({ version });
    // By a thread, with koffi's binary for the rest.
    expect(await client.call("query-devices", { users: true })).toHaveProperty("devices");
    expect(await daemon.stop()).toBe(0);
  });

  it("has scripts that a shell can read", () => {
    for (const name of ["postinst", "prerm", "postrm"]) {
      const { status, stderr } = spawnSync("sh", ["-n", `${root}/DEBIAN/${name}`], { encoding: "utf8" });
      expect({ name, status, stderr }).toEqual({ name, status: 0, stderr: "" });
    }
  });

  // It takes half a minute of a busy machine.
  it.skipIf(!HAS_LINTIAN)("is found faultless", () => {
    // Where scdoc is not there, no manual pages are made.
    const man = `${ROOT}dist/man`;
    const hasManual = existsSync(man) && readdirSync(man).length > 0;
    const known = hasManual ? [] : ["--suppress-tags", "no-manual-page"];
    const { status, stdout } = spawnSync("lintian", ["--allow-root", ...known, deb], { encoding: "utf8" });
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
  });
});

it("a changelog without a date is refused", () => {
  expect(dateOf("iovad (1) x\n\n -- A <a@b.example>  Tue, 24 Nov 2026 20:00:00 +0000\n")).toBe(1795550400);
  expect(() => dateOf("iovad (1) x\n")).toThrow("no date");
});
