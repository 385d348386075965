import type { PublisherOptions } from "../../src/fleet/publisher.ts";
import { profile } from "./hosts.ts";

/** The daemon as a publisher sees it: a profile that the test changes, and events when it says so. */
export class FakeClient {
  digest = "d1";
  instance = "i";
  /** How the next calls fail. */
  failure: Error | undefined;
  /** How often the profile was asked for. */
  asked = 0;
  #wake: () => void = () => {};

  readonly client = {
    call: async () => {
      this.asked++;
      if (this.failure) throw this.failure;
      return { ...profile(this.digest), host: "n1", instance: this.instance, sequence: this.asked };
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
