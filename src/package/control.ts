import { createHash } from "node:crypto";
import type { PackageJson } from "./programs.ts";
import type { TreeFile } from "./tree.ts";

/** The names that dpkg has for what process.arch is. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64", riscv64: "riscv64" };

/** @throws Error for one that there is no package for */
export function debianArchitecture(arch: string): string {
  const name = ARCHITECTURES[arch];
  if (name === undefined) throw new Error(`no package is made for ${arch}`);
  return name;
}

interface ControlParts {
  readonly about: PackageJson;
  readonly architecture: string;
  readonly files: readonly TreeFile[];
  /** Names and texts of the maintainer's scripts. */
  readonly scripts: readonly (readonly [string, string])[];
}

/** What dpkg wants to know of a package: the files of DEBIAN/. deb-control(5), deb-md5sums(5), deb-conffiles(5). */
export function control({ about, architecture, files, scripts }: ControlParts): TreeFile[] {
  const regular = files.filter(({ kind }) => kind !== "link");
  const kibibytes = regular.reduce(
    (sum, { content }) => sum + Math.ceil(Buffer.byteLength(content) / 1024),
    0,
  );
  const fields = `Package: iovad
Version: ${about.version}
Architecture: ${architecture}
Maintainer: The iovad authors <maintainers@iovad.example>
Installed-Size: ${kibibytes}
Depends: nodejs (>= 20.19), libc6, systemd, init-system-helpers (>= 1.54~), passwd
Section: admin
Priority: optional
Description: IO virtual addresses that VFIO devices can use
 A daemon that holds iommufd contexts and VFIO devices, and answers over a
 Unix socket which IO virtual addresses a device can use and which never,
 why, and on whose account: before a guest's memory map exists.
`;
  const sums = regular.map(
    ({ path, content }) => `${createHash("md5").update(content).digest("hex")}  ${path}\n`,
  );
  const conffiles = files.filter(({ path }) => path.startsWith("etc/")).map(({ path }) => `/${path}\n`);
  return [
    text("control", fields),
    text("md5sums", sums.join("")),
    text("conffiles", conffiles.join("")),
    ...scripts.map(([name, content]) => ({ path: `DEBIAN/${name}`, content, kind: "executable" as const })),
  ];
}

function text(name: string, content: string): TreeFile {
  return { path: `DEBIAN/${name}`, content, kind: "file" };
}
