// fleet-layouts.mjs DIRECTORY: what fleet.sh asks each host of the fleet in DIRECTORY, as JSON on standard output: a guest
// that `iovactl fleet find` has laid out for all of them, and for each host that stands out one that is not for it.
import { spawnSync } from "node:child_process";

const CTL = new URL("../../dist/ctl/main.js", import.meta.url).pathname;
const [, , directory] = process.argv;

/** The answer of a question that may be a no. */
function fleet(...args) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [CTL, "fleet", "--from", directory, "-j", ...args],
    { encoding: "utf8" },
  );
  if (status > 1) throw new Error(`iovactl fleet ${args.join(" ")}: ${stderr}`);
  return JSON.parse(stdout);
}

const text = ({ start, last }) => `${start}-${last}`;

/** Places that are free everywhere, each beside those before it. */
function laidOut() {
  const layout = [];
  const find = (name, ...args) => {
    const taken = layout.flatMap((each) => ["--avoid", text(each)]);
    const { range, exact } = fleet("find", ...args, ...taken);
    if (!range || !exact) throw new Error(`there is no certain place for ${name}`);
    layout.push({ name, ...range });
  };
  find("ram-below-4g", "1G", "--not-above", "0xffffffff");
  find("mmio", "256M", "--alignment", "256M", "--not-above", "0xffffffff", "--down");
  find("ram-above-4g", "6G", "--not-below", "0x100000000", "--alignment", "1G");
  find("mmio64", "32G", "--alignment", "32G", "--down");
  return layout;
}

const layouts = [{ name: "laid out by fleet find", layout: laidOut() }];
for (const { hosts, ranges } of fleet("outliers").outliers) {
  const names = hosts.map(({ host }) => host).join(" and ");
  const { start, last } = ranges[0];
  const size = BigInt(last) - BigInt(start) + 1n;
  // A granule of 64 KiB at most: every kernel's page divides it.
  const end = `0x${(BigInt(start) + (size < 0x10000n ? size : 0x10000n) - 1n).toString(16)}`;
  layouts.push({ name: `where ${names} have nothing`, layout: [{ name: "window", start, last: end }] });
}
const asked = layouts.map((each) => {
  const windows = each.layout.flatMap(({ name, start, last }) => [
    "--layout",
    `${name}=${start}+0x${(BigInt(last) - BigInt(start) + 1n).toString(16)}`,
  ]);
  const { hosts } = fleet("fits", ...windows);
  return { ...each, fits: Object.fromEntries(hosts.map(({ host, fits }) => [host, fits])) };
});
const [found] = asked;
if (!Object.values(found.fits).every(Boolean)) throw new Error("what was found for all is not for all");
console.log(JSON.stringify(asked, null, 2));
