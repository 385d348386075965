import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import type { Loss } from "../../../src/host/changes.ts";
import type { Parcel } from "../../../src/host/devices/handovers.ts";
import type { Host } from "../../../src/host/host.ts";
import { contextFile, deviceFile } from "../../../src/host/survival/journal.ts";
import type { WireSnapshot } from "../../../src/rpc/records.ts";
import { CASES, type Case, type Cast, furnish, OWNER } from "./cases.ts";
import { Life, type Surroundings } from "./life.ts";

/** What a host says that the kernel has, as JSON. */
export interface Model {
  readonly contexts: readonly {
    readonly context: string;
    readonly isOpen: boolean;
    readonly held: readonly string[];
    readonly ioases: readonly {
      readonly ioas: number;
      readonly devices: readonly string[];
      /** Start and last of each allowed range, in hexadecimal. */
      readonly ranges: readonly (readonly [string, string])[];
    }[];
  }[];
  readonly mismatches: number;
}

/** A process in which cases are played, wherever it is. What it takes and gives is JSON. */
export interface Player {
  /** Settles what an earlier process has left, and resolves to what of it is lost. */
  takeOver(): Promise<readonly Loss[]>;
  /** Begins the case anew, in a life that nobody has left anything to. */
  furnish(index: number): Promise<void>;
  /**
   * Does what the case is about, and dies at its so-manieth step: before a system call, or behind it. Resolves to the
   * steps.
   */
  perform(index: number, dies?: number): Promise<readonly string[] | "killed">;
  /** Does what else may become of it. */
  performOther(index: number): Promise<void>;
  /** The client is back: its contexts are its new connection's. */
  resume(): Promise<void>;
  snapshot(): Promise<WireSnapshot>;
  /** What must not be less in a later life, by IOAS. */
  generations(): Promise<Readonly<Record<string, number>>>;
  model(): Promise<Model>;
  /** Gives everything back. */
  close(): Promise<void>;
}

/** The names in the store of what the model has. */
export function filesOf({ contexts }: Model): string[] {
  return contexts.flatMap(({ context, isOpen, held }) => [
    ...(isOpen ? [contextFile(context)] : []),
    ...held.map(deviceFile),
  ]);
}

export class Stage implements Player {
  life: Life;
  readonly #surroundings: Surroundings;
  readonly #cast: Cast;

  constructor(surroundings: Surroundings, cast: Cast) {
    this.#surroundings = surroundings;
    this.#cast = cast;
    this.life = new Life(surroundings);
  }

  get #host(): Host {
    return this.life.host;
  }

  async takeOver() {
    const lost = (await this.#host.takeOver(30)) ?? [];
    // The look at its end may have found that a guest has ended.
    for (const { ending } of this.#host.contexts()) await ending;
    this.#host.restarted("instance", lost);
    return lost;
  }

  async furnish(index: number) {
    for (const storage of this.#surroundings.storages) storage.clear();
    this.life = new Life(this.#surroundings);
    await furnish(this.#host, this.#cast);
    await this.#ask(at(index).before ?? (() => {}));
    this.life.journal.flush();
  }

  async perform(index: number, dies = Number.POSITIVE_INFINITY) {
    const { life } = this;
    const first = life.steps.length;
    life.dies = first + dies;
    const end = await life.until(async () => {
      await this.#ask(at(index).call);
      life.journal.flush();
    });
    return end === "killed" ? end : life.steps.slice(first);
  }

  async performOther(index: number) {
    await this.#ask(at(index).orElse ?? (() => {}));
  }

  async resume() {
    for (const { name, lease } of this.#host.contexts())
      if (lease === "connection") this.#host.resumeContext(name, OWNER);
  }

  async snapshot() {
    return this.life.snapshot();
  }

  async generations() {
    const all = this.#host
      .contexts()
      .flatMap(({ name, ioases }) => Array.from(ioases.values(), (ioas) => ({ name, ioas })));
    return Object.fromEntries(all.map(({ name, ioas }) => [`${name} ${ioas.id}`, ioas.generation]));
  }

  async model() {
    const contexts = this.#host.contexts().map(async (context) => ({
      context: context.name,
      isOpen: context.isOpen,
      held: this.#host.devicesIn(context).map(({ platform }) => platform.device),
      ioases: await Promise.all(
        Array.from(context.ioases.values(), async (ioas) => ({
          ioas: ioas.id,
          devices: [...ioas.devices],
          ranges: [...(await this.#host.allowed(ioas)).ranges].map(
            ({ start, last }) => [`0x${start.toString(16)}`, `0x${last.toString(16)}`] as const,
          ),
        })),
      ),
    }));
    return { contexts: await Promise.all(contexts), mismatches: this.#host.mismatches };
  }

  async close() {
    await this.#host.close();
  }

  /** Nobody takes what is sent with the answer: when that is known, it is closed. */
  async #ask(call: Case["call"]): Promise<void> {
    const { life } = this;
    const parcels: Parcel[] = [];
    const send = (parcel: Parcel) => {
      parcels.push(parcel);
      return { isUnderWay: false };
    };
    await call(this.#host, this.#cast, send);
    const closed = () => life.steps.filter((step) => step === "close is made").length;
    for (const { fds, close } of parcels) {
      const due = closed() + fds.length;
      close();
      while (!life.isDead && closed() < due) await setImmediate();
    }
  }
}

function at(index: number): Case {
  const found = CASES[index];
  assert(found);
  return found;
}
