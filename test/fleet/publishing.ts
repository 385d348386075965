import { randomUUID } from "node:crypto";
import { vi } from "vitest";
import { Publisher, type PublisherOptions } from "../../src/fleet/publisher.ts";
import { profile } from "./hosts.ts";

/** The daemon as a publisher sees it: a profile that the test changes, and events when it says so. */
export class FakeClient {
  /** Another one, another profile. */
  model = "d1";
  instance = "i";
  /** How the next calls fail. */
  failure: Error | undefined;
  /** No call is answered before. */
  answers: Promise<void> | undefined;
  /** How often the profile was asked for. */
  asked = 0;
  #wake: () => void = () => {};

  readonly client = {
    call: async () => {
      this.asked++;
      await this.answers;
      if (this.failure) throw this.failure;
      return { ...profile(this.model), host: "n1", instance: this.instance, sequence: this.asked };
    },
    events: () => this.#events(),
  } as unknown as PublisherOptions["client"];

  /** Something has happened. */
  event(): void {
    this.#wake();
  }

  async *#events() {
    for (;;) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      yield {};
    }
  }
}

/** A publisher that runs, its daemon, what it says, and how to end it. */
export interface Publishing {
  readonly daemon: FakeClient;
  readonly said: string[];
  readonly end: () => Promise<void>;
}

/** Starts a publisher of host n1 beside a daemon of its own, whose end is also put into `ends`. */
export function startPublisher(
  ends: (() => Promise<void>)[],
  options: Pick<PublisherOptions, "openStore"> & Partial<PublisherOptions>,
): Publishing {
  const daemon = new FakeClient();
  const said: string[] = [];
  const signal = new AbortController();
  const running = new Publisher({
    ...{ host: "n1", interval: 3600, publisher: randomUUID(), client: daemon.client },
    ...{ clock: Date.now, random: Math.random, say: (message: string) => said.push(message) },
    changed: async () => {},
    ...options,
  }).run(signal.signal);
  const end = async () => {
    signal.abort();
    await running;
  };
  ends.push(end);
  return { daemon, said, end };
}

export const until = (isSo: () => boolean) => vi.waitUntil(isSo, { interval: 5, timeout: 60_000 });

/** Once the publisher has published first. */
export async function published({ said }: Publishing): Promise<void> {
  await until(() => said.some((message) => message.startsWith("published")));
}
