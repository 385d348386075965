import { type Blocker, doesHostDma, findBlockers, type GroupView } from "../platform/blockers.ts";
import type { Census } from "../platform/census.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import { isDirect } from "./group-files.ts";
import type { Knowledge } from "./knowledge.ts";

/** What stands in the way of devices until somebody changes the host: from what sysfs shows and binds have taught. */
export class LastingBlockers {
  readonly #census: Census;
  readonly #knowledge: Knowledge;

  constructor(census: Census, knowledge: Knowledge) {
    this.#census = census;
    this.#knowledge = knowledge;
  }

  /** What all devices of a group have in common. */
  view(number: number): GroupView {
    const devices = [...(this.#census.group(number)?.devices.values() ?? [])];
    const { files } = this.#knowledge;
    const direct = files.regions(number).regions.filter(isDirect);
    return {
      number,
      hostDma: devices.filter(doesHostDma),
      direct: direct.map((region) => ({ region, carriers: files.direct.carriers(region) })),
    };
  }

  of(device: PlatformDevice, view = this.view(device.group)): Blocker[] {
    const seen = findBlockers(device, view);
    const refusal = this.#knowledge.refusalOf(device);
    return refusal ? [...seen, refusal] : seen;
  }
}
