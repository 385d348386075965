import { execFileSync } from "node:child_process";
import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Daemon } from "../daemon/daemon.ts";

/** A range and a list of them as they are on the wire. */
export interface WireRange {
  readonly start: string;
  readonly last: string;
}

export function wireRanges(pairs: Iterable<readonly [bigint, bigint]>): WireRange[] {
  return [...pairs].map(([start, last]) => ({ start: hex(start), last: hex(last) }));
}

const hex = (address: bigint) => `0x${address.toString(16)}`;

/** What the kernel tells a second process of an IOAS in the daemon's default context. */
export function secondOpinion(
  daemon: Pick<Daemon, "pid">,
  ioas: number,
): { ranges: WireRange[]; alignment: string } {
  const fds = readdirSync(`/proc/${daemon.pid}/fd`);
  // Within /dev alone of what an earlier life has opened, see openDevices().
  const iommufd = fds.find((fd) => /^(\/dev)?\/iommu$/.test(readlinkSync(`/proc/${daemon.pid}/fd/${fd}`)));
  const argv = [String(daemon.pid), String(iommufd), String(ioas)];
  // Compiled by lab.sh.
  const output = execFileSync("/run/lab/ranges-reader", argv, { encoding: "utf8" });
  const [alignment = "", ...lines] = output.trim().split("\n");
  const ranges = lines.map((line) => line.split(" ")).map(([start = "", last = ""]) => ({ start, last }));
  return { ranges, alignment };
}

/**
 * The iommufds and VFIO devices that a process has open. Of what a service has opened that has since ended, and its mounts
 * with it, the kernel tells the path within /dev (fs/d_path.c: prepend_path).
 */
export function openDevices(pid: number): string[] {
  const directory = `/proc/${pid}/fd`;
  const targets = readdirSync(directory).flatMap((fd) => {
    try {
      return readlinkSync(`${directory}/${fd}`);
    } catch {
      // The descriptor of this very listing, closed by now.
      return [];
    }
  });
  return targets
    .map((target) => (target.startsWith("/dev/") ? target : `/dev${target}`))
    .filter((target) => /^\/dev\/(iommu|vfio)/.test(target))
    .sort();
}

/** Takes a PCI device from its driver, as an operator would. */
export function unbind(device: string): void {
  writeFileSync(`/sys/bus/pci/devices/${device}/driver/unbind`, device);
}

/** Offers a PCI device to the drivers. EINVAL: none of them got it (drivers/base/bus.c: drivers_probe_store). */
export function probeDrivers(device: string): void {
  writeFileSync("/sys/bus/pci/drivers_probe", device);
}

/** Ends a daemon to which the kernel has never given another answer than was predicted. */
export async function endUnsurprised(daemon: Daemon): Promise<void> {
  const client = await daemon.client();
  expect(await client.call("query-status")).toMatchObject({ mismatches: 0 });
  expect(await daemon.stop()).toBe(0);
}
