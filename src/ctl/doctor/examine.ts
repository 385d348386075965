import { type Client, ConnectionError, DaemonError } from "../../client/index.ts";
import type { Daemon } from "../command.ts";
import { counted } from "../counted.ts";
import { checkApertures, checkDaemon, checkKernelOf } from "./daemon-checks.ts";
import { checkHostDevice, checkKnownDevice, checkKnownDevices } from "./device-checks.ts";
import { type Finding, failure, ok, warning } from "./finding.ts";
import { type Claim, checkFirmware } from "./firmware-checks.ts";
import { hostClaims, hostDevices } from "./host-devices.ts";
import type { HostFiles } from "./host-files.ts";
import { checkIommu } from "./iommu-checks.ts";
import { checkKernel } from "./kernel-checks.ts";
import { checkMemoryLock } from "./memory-lock.ts";

export interface Question {
  readonly device: string | undefined;
  /** Bytes of the guest's memory. */
  readonly guest: bigint | undefined;
}

export interface Examined {
  readonly files: HostFiles;
  readonly daemon: Daemon;
  /** Of who asks. */
  readonly uid: number;
}

/** Every check, of the whole host or around one device. Rejects with DaemonError for a device that there is not. */
export async function examine(
  { device, guest }: Question,
  { files, daemon, uid }: Examined,
): Promise<Finding[]> {
  const lock = checkMemoryLock(files, uid, guest);
  let client: Client;
  try {
    client = await daemon.connect();
  } catch (error) {
    const remedy = remedyFor(error);
    if (remedy === undefined) throw error;
    // Another host's files are not to be seen.
    const local = daemon.via ? [] : examineFiles(files, device);
    return [...local, failure("daemon", "socket", (error as Error).message, remedy), lock];
  }
  const status = await client.call("query-status");
  const isHere = status.backend === "linux" && !daemon.via;
  const { devices } = await client.call("query-devices", device === undefined ? {} : { device, users: true });
  const [own] = device === undefined ? [] : devices;
  const siblings = own ? (await client.call("query-devices", { group: own.group })).devices : [];
  const all = own ? (await client.call("query-devices")).devices : devices;
  return [
    ...(isHere ? [...checkKernel(files), ...checkIommu(files)] : checkKernelOf(status)),
    ...(await checkApertures(client, devices)),
    ...checkFirmware(claimsOf(all), own?.device),
    ...(own ? checkKnownDevice(own, siblings) : checkKnownDevices(devices)),
    ...(await checkDaemon(client, daemon.place)),
    ...(daemon.via ? [] : [lock]),
  ];
}

/** What to do where the daemon cannot be asked; undefined: that is not what has failed. */
function remedyFor(error: unknown): string | undefined {
  const isConnection = error instanceof ConnectionError;
  if (
    isConnection
      ? error.code === "EACCES"
      : error instanceof DaemonError && error.class === "PermissionDenied"
  )
    return "have this user put into the group iovad, or named by observe-user in the daemon's configuration";
  return isConnection ? "systemctl start iovad, or say where it listens (-s)" : undefined;
}

function examineFiles(files: HostFiles, device: string | undefined): Finding[] {
  const devices = hostDevices(files);
  const name = device === undefined ? undefined : fullName(device);
  return [
    ...checkKernel(files),
    ...checkIommu(files),
    ...checkFirmware(hostClaims(files), name),
    ...(name === undefined ? summary(devices.length) : checkHostDevice(name, devices, files)),
  ];
}

function summary(count: number): Finding[] {
  const evidence = `${counted(count, "device")} with an IOMMU group`;
  return [
    count > 0
      ? ok("device", "devices", evidence)
      : warning("device", "devices", evidence, "see the IOMMU above"),
  ];
}

/** As lspci prints it, a device is in domain 0000. */
function fullName(device: string): string {
  return /^[0-9a-f]{2}:/.test(device) ? `0000:${device}` : device;
}

/** Firmware's claims, from what blocks devices. */
function claimsOf(devices: readonly BlockedDevice[]): Claim[] {
  const claims = new Map<string, { start: string; last: string; groups: Set<number>; devices: string[] }>();
  for (const { device, group, blockers } of devices) {
    for (const { reason, region } of blockers) {
      if (reason !== "direct-mapping" || !region) continue;
      const { start, last } = region;
      const claim = claims.get(`${start}-${last}`) ?? { start, last, groups: new Set(), devices: [] };
      claims.set(`${start}-${last}`, claim);
      claim.groups.add(group);
      claim.devices.push(device);
    }
  }
  return Array.from(claims.values(), ({ groups, ...claim }) => ({ ...claim, groups: [...groups] }));
}

interface BlockedDevice {
  readonly device: string;
  readonly group: number;
  readonly blockers: readonly {
    readonly reason: string;
    readonly region?: { readonly start: string; readonly last: string } | undefined;
  }[];
}
