import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { backoff } from "../client/backoff.ts";
import { isLasting } from "../client/errors.ts";
import { type Client, connect } from "../client/index.ts";
import { usualSocket } from "../client/usual-socket.ts";
import { complain } from "../command-line.ts";
import { removeFeatures, writeFeatures } from "./features.ts";
import type { FleetOptions } from "./options.ts";
import { Publisher } from "./publisher.ts";
import { openStore } from "./stores/open.ts";

const say = (message: string) => complain("iovad-fleet", message);

/** Publishes until SIGTERM or SIGINT; resolves to the exit status. */
export async function run(options: FleetOptions): Promise<number> {
  const end = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => end.abort());
  const client = await connectAtLast(options.socket, end.signal);
  if (!client) return 0;
  let status = 0;
  void client.closed.then((reason) => {
    if (!reason) return;
    say(reason.message);
    status = 1;
    end.abort();
  });
  const { features, host, interval } = options;
  await new Publisher({
    ...{ host, interval, client, say, publisher: randomUUID(), clock: Date.now, random: Math.random },
    openStore: () => openStore(options.store),
    changed: async (profile) => {
      if (features !== undefined) await writeFeatures(features, profile);
    },
  }).run(end.signal);
  if (features !== undefined) await removeFeatures(features).catch((error: Error) => say(error.message));
  client.destroy();
  return status;
}

/** The daemon may start later than this. Undefined when the signal comes first. */
async function connectAtLast(socket: string | undefined, signal: AbortSignal): Promise<Client | undefined> {
  let told: string | undefined;
  const aborted = new Promise<undefined>((resolve) => {
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  for (const wait of backoff(Math.random)) {
    try {
      // One that listens and does not greet keeps nobody from ending this.
      const connecting = connect({ socket: socket ?? usualSocket(process.env), reconnect: true });
      return await Promise.race([connecting, aborted]);
    } catch (error) {
      if (isLasting(error)) throw error;
      const { message } = error as Error;
      if (message !== told) say(message);
      told = message;
    }
    await delay(wait, undefined, { signal }).catch(() => {});
    if (signal.aborted) return undefined;
  }
  return undefined;
}
