import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";

export const SOCKET = "/run/iovad/iovad.sock";

/** No triggers: man-db's goes through all manual pages of the host. */
export const DPKG = "dpkg --no-triggers --force-unsafe-io";

export const shell = (command: string) => execFileSync("sh", ["-c", command], { encoding: "utf8" }).trim();
export const property = (name: string, unit = "iovad.service") =>
  shell(`systemctl show --property=${name} --value ${unit}`);
export const mainPid = (unit = "iovad.service") => Number(property("MainPID", unit));

/** setpriv's arguments for a user who is nobody but a member of these groups. */
export const asNobody = (groups: string) => ["--reuid=65534", "--regid=65534", groups, "--"];

/** For asNobody(): the group whose members may ask. */
export const members = () => `--groups=${shell("getent group iovad | cut -d: -f3")}`;

/** The package in a folder of the host's, where lab.sh has put it. */
export function packageIn(directory: string): string | undefined {
  const name = existsSync(directory) && readdirSync(directory).find((each) => each.endsWith(".deb"));
  return name ? `${directory}/${name}` : undefined;
}

/** Whether any version of the package is installed. */
const isInstalled = () => existsSync("/usr/bin/iovad");

/** Installs today's package, as on a machine that has never had it. Returns its file. */
export function installAnew(): string {
  if (isInstalled()) shell(`${DPKG} --purge iovad`);
  return install();
}

/** Today's package, with a service that is stopped. Returns its file. dpkg takes half a minute in a guest. */
export function install(): string {
  const deb = packageIn("/run/lab");
  if (deb === undefined) throw new Error("lab.sh has made no package");
  if (isInstalled()) shell("systemctl stop iovad.service");
  else {
    installNode();
    shell(`${DPKG} --install ${deb}`);
  }
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
