import { closeSync } from "node:fs";
import type { Daemon } from "./daemon.ts";
import type { RunOptions } from "./options.ts";

/** What the child inherits; close-on-exec here. */
export interface HandedOver {
  readonly iommufd: number;
  /** By device, in the order of the command line. */
  readonly devices: ReadonlyMap<string, number>;
}

/**
 * Asks for a context that lives as long as the connection, and for the devices with it.
 * @throws Refusal, SocketError
 */
export function askForAll(
  daemon: Daemon,
  { context, devices, rlimitMode }: Pick<RunOptions, "context" | "devices" | "rlimitMode">,
): HandedOver {
  const rlimit = rlimitMode ? { "rlimit-mode": true } : {};
  daemon.call("create-context", { context, lease: "connection", ...rlimit });
  const [iommufd] = daemon.call("hand-over-context", { context }) as [number];
  const handedOver = new Map<string, number>();
  for (const device of devices) {
    // The same iommufd comes with every device; one is enough.
    const [again, cdev] = daemon.call("hand-over-device", { device, context }) as [number, number];
    closeSync(again);
    handedOver.set(device, cdev);
  }
  return { iommufd, devices: handedOver };
}
