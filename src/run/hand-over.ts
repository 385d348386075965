import { closeSync } from "node:fs";
import type { Client } from "../client/index.ts";
import type { RunOptions } from "./options.ts";

/** What the child inherits; close-on-exec here. */
export interface HandedOver {
  readonly iommufd: number;
  /** By device, in the order of the command line. */
  readonly devices: ReadonlyMap<string, number>;
  /** The daemon simulates a host: these are placeholders. */
  readonly isSimulated: boolean;
}

/**
 * Asks for a context that lives as long as the connection, and for the devices with it. Rejects as Client.call does,
 * and with Error when descriptors are missing.
 */
export async function askForAll(
  client: Client,
  { context, devices, rlimitMode }: Pick<RunOptions, "context" | "devices" | "rlimitMode">,
): Promise<HandedOver> {
  const rlimit = rlimitMode ? { "rlimit-mode": true } : {};
  await client.call("create-context", { context, lease: "connection", ...rlimit });
  const [iommufd] = await take(client, ["hand-over-context", { context }], 1);
  const handedOver = new Map<string, number>();
  for (const device of devices) {
    // The same iommufd comes with every device; one is enough.
    const [again, cdev] = await take(client, ["hand-over-device", { device, context }], 2);
    closeSync(again as number);
    handedOver.set(device, cdev as number);
  }
  const isSimulated = client.greeting.backend === "simulated";
  return { iommufd: iommufd as number, devices: handedOver, isSimulated };
}

type Request =
  | ["hand-over-context", { context: string }]
  | ["hand-over-device", { device: string; context: string }];

async function take(client: Client, [method, params]: Request, count: number): Promise<readonly number[]> {
  const { fds } = await client.callForDescriptors(method, params as never);
  if (fds.length === count) return fds;
  for (const fd of fds) closeSync(fd);
  throw new Error(`iovad has answered ${method} with ${fds.length} descriptors instead of ${count}`);
}
