import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { documentFor } from "./documents.ts";
import { licencesOf } from "./licences.ts";
import { type PackageJson, programs, ROOT } from "./programs.ts";
import type { TreeFile } from "./tree.ts";

const LIBRARY = "usr/lib/iovad";
const DOCUMENTS = "usr/share/doc/iovad";

/** Where a file of the checkout's systemd/ goes. */
const OF_SYSTEMD: Readonly<Record<string, string>> = {
  "iovad.service": "lib/systemd/system/iovad.service",
  "iovad-modules.service": "lib/systemd/system/iovad-modules.service",
  "iovad-fleet.service": "lib/systemd/system/iovad-fleet.service",
  "iovad.socket": "lib/systemd/system/iovad.socket",
  "iovad.sysusers": "usr/lib/sysusers.d/iovad.conf",
  "60-iovad.rules": "lib/udev/rules.d/60-iovad.rules",
  "hardened.conf": `${DOCUMENTS}/examples/hardened.conf`,
};

/** Whoever has the package is an operator. */
const OF_READERS: Readonly<Record<string, string>> = {
  "systemd/README.md": `${DOCUMENTS}/README.md`,
  "src/fleet/README.md": `${DOCUMENTS}/fleet.md`,
  "README.md": `${DOCUMENTS}/iovad.md`,
};

/** Where a shell looks for the completion of a command. */
const OF_SHELLS: Readonly<Record<string, (command: string) => string>> = {
  bash: (command) => `usr/share/bash-completion/completions/${command}`,
  zsh: (command) => `usr/share/zsh/vendor-completions/_${command}`,
  fish: (command) => `usr/share/fish/vendor_completions.d/${command}.fish`,
};

/** All that is installed, from a checkout that is built. */
export function installedFiles(about: PackageJson, changelog: string): TreeFile[] {
  return [
    ...program(about),
    ...koffi(),
    ...commands(about),
    ...Object.entries(OF_SYSTEMD).map(([name, path]) => copy(`systemd/${name}`, path)),
    ...documents(),
    file("etc/iovad/iovad.json", "{}\n"),
    ...below("schemas").map((path) => copy(path, `usr/share/iovad/${path}`)),
    ...manual(),
    ...completion(),
    file(`${DOCUMENTS}/copyright`, copyright()),
    file(`${DOCUMENTS}/changelog.gz`, gzipSync(changelog, { level: 9 })),
  ];
}

/** The bundles and what they load beside them. */
function program(about: PackageJson): TreeFile[] {
  const { starter, codeCache, threads, clients } = programs(about);
  const others = [starter, codeCache, ...threads, ...clients].filter(
    (entry) => !/^(client|demo)\//.test(entry),
  );
  const { version } = about;
  return [
    file(`${LIBRARY}/package.json`, `${JSON.stringify({ name: "iovad", version, type: "module" })}\n`),
    script(`dist/${starter}.cjs`),
    ...others.map((entry) => script(`dist/${entry}.js`)),
    ...below("dist/chunks")
      .filter((path) => /\.c?js$/.test(path))
      .map(script),
  ];
}

/** With Debian's own Node.js, whatever else PATH may find. */
function script(path: string): TreeFile {
  const text = readFileSync(ROOT + path, "utf8");
  const body = text.replace(/^#!.*/, "#!/usr/bin/node");
  return { path: `${LIBRARY}/${path}`, content: body, kind: body === text ? "file" : "executable" };
}

/** koffi's binary for this machine, and koffi without its sources, for where that is not the one. */
function koffi(): TreeFile[] {
  const binary = `node_modules/@koromix/koffi-linux-${process.arch}`;
  const scripts = ["index", "src/koffi/index", "src/koffi/src/static"];
  return [
    ...["package.json", ...scripts.flatMap((name) => [`${name}.js`, `${name}.cjs`])].map(
      (name) => `node_modules/koffi/${name}`,
    ),
    ...["package.json", "index.js", `linux_${process.arch}/koffi.node`].map((name) => `${binary}/${name}`),
  ].map((path) => copy(path, `${LIBRARY}/${path}`));
}

function commands({ bin }: PackageJson): TreeFile[] {
  return Object.entries(bin).map(([name, path]) => ({
    path: `usr/bin/${name}`,
    content: `../lib/iovad/${path}`,
    kind: "link",
  }));
}

function documents(): TreeFile[] {
  const ofSystemd = Object.entries(OF_SYSTEMD).map(([name, path]) => [`systemd/${name}`, path] as const);
  const schemas = ["schemas/methods", "schemas/events", ...below("schemas")];
  const installed = new Map([
    ...ofSystemd,
    ...schemas.map((path) => [path, `usr/share/iovad/${path}`] as const),
    ...Object.entries(OF_READERS),
  ]);
  return Object.entries(OF_READERS).map(([path, place]) => file(place, documentFor(path, installed)));
}

/** dist/man/NAME.SECTION, where there are any. */
function manual(): TreeFile[] {
  return below("dist/man").map((path) =>
    file(
      `usr/share/man/man${path.slice(-1)}/${basename(path)}.gz`,
      gzipSync(readFileSync(ROOT + path), { level: 9 }),
    ),
  );
}

/** dist/completion/COMMAND.SHELL, where there are any. */
function completion(): TreeFile[] {
  return below("dist/completion").map((path) => {
    const [command = "", shell = ""] = basename(path).split(".");
    const place = OF_SHELLS[shell];
    if (place === undefined) throw new Error(`${path}: which shell is that for?`);
    return copy(path, place(command));
  });
}

/** Up to the line between two packages. */
const APACHE = /^ *Apache License\n *Version 2\.0, [\s\S]*?(?=\n-{80}\n)/gm;
/** Debian Policy 12.5: licences that every Debian system has are named, and not repeated. */
const IN_DEBIAN =
  "Apache License, Version 2.0; on Debian systems its text is in /usr/share/common-licenses/Apache-2.0\n";

function copyright(): string {
  const ours = readFileSync(`${ROOT}LICENSE`, "utf8");
  const bundled = readFileSync(`${ROOT}dist/chunks/LICENCES.txt`, "utf8").replaceAll(APACHE, IN_DEBIAN);
  const [beside] = licencesOf(["koffi"]).map(({ name, version, text }) => `${name} ${version}\n\n${text}\n`);
  const line = `\n${"-".repeat(80)}\n\n`;
  return `${ours}\nThe programs contain, and come with, the work of others:\n${line}${bundled}${line}${beside}`;
}

/** The files below a folder of the checkout, by name; none where there is no such folder. */
function below(folder: string): string[] {
  if (!existsSync(ROOT + folder)) return [];
  return readdirSync(ROOT + folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length))
    .sort();
}

function copy(from: string, path: string): TreeFile {
  return file(path, readFileSync(ROOT + from));
}

function file(path: string, content: string | Buffer): TreeFile {
  return { path, content, kind: "file" };
}
