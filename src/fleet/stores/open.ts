import { UsageError } from "../../command-line.ts";
import { DirectoryStore } from "./directory.ts";
import type { NatsOptions } from "./nats-connection.ts";
import type { FleetStore } from "./store.ts";

/** Which store, and the way to it. */
export type StoreOptions = { readonly directory: string } | NatsOptions;

/** The options of a command line that say where a store is. */
export interface StoreArguments {
  readonly directory?: string | undefined;
  readonly nats?: string | undefined;
  readonly creds?: string | undefined;
  readonly "tls-ca"?: string | undefined;
  readonly "tls-cert"?: string | undefined;
  readonly "tls-key"?: string | undefined;
  readonly replicas?: string | undefined;
}

/** Of a command line that names just one store. @throws UsageError */
export function storeOptions({
  directory,
  nats,
  creds,
  replicas = "1",
  ...tls
}: StoreArguments): StoreOptions {
  if (directory !== undefined) return { directory };
  if (!/^[135]$/.test(replicas)) throw new UsageError(`--replicas takes 1, 3 or 5, and not "${replicas}"`);
  const servers = (nats ?? "").split(",").filter((server) => server !== "");
  const wrong = servers.find((server) => !/^((nats|tls):\/\/)?[^/\s]+$/.test(server));
  if (servers.length === 0 || wrong !== undefined) {
    throw new UsageError(`--nats takes a URL, as in nats://127.0.0.1:4222, and not "${wrong ?? nats}"`);
  }
  return {
    servers,
    creds,
    tlsCa: tls["tls-ca"],
    tlsCert: tls["tls-cert"],
    tlsKey: tls["tls-key"],
    replicas: Number(replicas),
  };
}

/** Rejects with StoreError. NATS is loaded only where it is used. */
export async function openStore(options: StoreOptions): Promise<FleetStore> {
  if ("directory" in options) return new DirectoryStore(options.directory);
  const { NatsStore } = await import("./nats.ts");
  return NatsStore.connect(options, Math.random);
}
