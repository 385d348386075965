import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";

export const SOCKET = "/run/iovad/iovad.sock";

/** No triggers: man-db's goes through all manual pages of the host. */
export const DPKG = "dpkg --no-triggers --force-unsafe-io";

export const shell = (command: string) => execFileSync("sh", ["-c", command], { encoding: "utf8" }).trim();

/** setpriv's arguments for a user who is nobody but a member of these groups. */
export const asNobody = (groups: string) => ["--reuid=65534", "--regid=65534", groups, "--"];

/** For asNobody(): the group whose members may ask. */
export const members = () => `--groups=${shell("getent group iovad | cut -d: -f3")}`;

/** Installs the Debian package that the lab has made; returns its path. */
export function install(): string {
  const deb = `/run/lab/${readdirSync("/run/lab").find((name) => name.endsWith(".deb"))}`;
  installNode();
  shell(`${DPKG} --install ${deb}`);
  return deb;
}

/** The package asks dpkg for Node.js, of which the guest may have what runs this, and dpkg not know. */
function installNode(): void {
  const [, known = ""] = spawnSync("dpkg-query", ["--show", "nodejs"], { encoding: "utf8" }).stdout.split(
    "\t",
  );
  if (spawnSync("dpkg", ["--compare-versions", known.trim(), "ge", "20.19"]).status === 0) return;
  if (!existsSync("/usr/bin/node")) {
    writeFileSync("/usr/bin/node", "");
    shell(`mount --bind ${process.execPath} /usr/bin/node`);
  }
  mkdirSync("/tmp/nodejs/DEBIAN", { recursive: true });
  const fields = {
    Package: "nodejs",
    Version: process.versions.node,
    Architecture: "all",
    Maintainer: "lab",
  };
  const lines = Object.entries({ ...fields, Description: "lab" }).map(
    ([name, value]) => `${name}: ${value}\n`,
  );
  writeFileSync("/tmp/nodejs/DEBIAN/control", lines.join(""));
  shell(`dpkg-deb --build /tmp/nodejs /tmp/nodejs.deb && ${DPKG} --install /tmp/nodejs.deb`);
}
