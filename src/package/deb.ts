/** `npm run package [-- DIRECTORY]`: writes iovad_VERSION_ARCH.deb, into the checkout, of what `npm run build` has built. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { control, debianArchitecture } from "./control.ts";
import { installedFiles } from "./installed-files.ts";
import { packageJson, ROOT } from "./programs.ts";
import { dateOf, writeTree } from "./tree.ts";

const DEBIAN = `${ROOT}src/package/debian/`;
const about = packageJson();
const changelog = readFileSync(`${DEBIAN}changelog`, "utf8");
const architecture = debianArchitecture(process.arch);
const files = installedFiles(about, changelog);
const directory = mkdtempSync(join(tmpdir(), "iovad-package-"));
try {
  const time = dateOf(changelog);
  const scripts = ["postinst", "prerm", "postrm"].map(
    (name) => [name, readFileSync(DEBIAN + name, "utf8")] as const,
  );
  writeTree(directory, [...files, ...control({ about, architecture, files, scripts })], time);
  const deb = resolve(process.argv[2] ?? ROOT, `iovad_${about.version}_${architecture}.deb`);
  execFileSync("dpkg-deb", ["--root-owner-group", "-Zxz", "--build", directory, deb], {
    // The same bytes on every machine: with more threads the compressed text is cut in pieces.
    env: { ...process.env, SOURCE_DATE_EPOCH: String(time), DPKG_DEB_THREADS_MAX: "1" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  process.stdout.write(`${deb}\n`);
} finally {
  rmSync(directory, { recursive: true });
}
