import { type Blocker, doesHostDma, findBlockers, type GroupView } from "../platform/blockers.ts";
import type { Census } from "../platform/census.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import { isDirect } from "./group-files.ts";
import type { Knowledge } from "./knowledge.ts";

export interface LastingBlockersParts {
  readonly census: Census;
  readonly knowledge: Knowledge;
}

/** What stands in the way of devices until somebody changes the host: from what sysfs shows and binds have taught. */
export class LastingBlockers {
  readonly #parts: LastingBlockersParts;

  constructor(parts: LastingBlockersParts) {
    this.#parts = parts;
  }

  /** What all devices of a group have in common. */
  view(number: number): GroupView {
    const devices = [...(this.#parts.census.group(number)?.devices.values() ?? [])];
    const { files } = this.#parts.knowledge;
    const direct = files.regions(number).regions.filter(isDirect);
    return {
      number,
      hostDma: devices.filter(doesHostDma),
      direct: direct.map((region) => ({ region, carriers: files.direct.carriers(region) })),
    };
  }

  of(device: PlatformDevice, view = this.view(device.group)): Blocker[] {
    const seen = findBlockers(device, view);
    const refusal = this.#parts.knowledge.refusalOf(device);
    return refusal ? [...seen, refusal] : seen;
  }
}
