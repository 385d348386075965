import type { PlatformDevice } from "../platform/platform.ts";
import type { Ioas } from "./ioas.ts";

/** An attach, detach or close under way, and the IO address spaces whose answers it changes when nobody can tell. */
export class IoasChange {
  readonly ioases = new Set<Ioas>();
  /** Whether the answers may have changed; from a failed first attach, for one, the kernel recovers whole. */
  hasEffect = false;
  /** A device that has come into an empty IOAS: the answer is then what that device excludes. */
  alone: PlatformDevice | undefined;

  #hasEnded = false;

  include(ioas: Ioas): void {
    if (this.ioases.has(ioas)) return;
    this.ioases.add(ioas);
    ioas.changeBegins();
  }

  /** Once and for all. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    for (const ioas of this.ioases) ioas.changeEnds(this.hasEffect);
  }
}
