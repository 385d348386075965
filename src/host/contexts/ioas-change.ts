import type { PlatformDevice } from "../platform/platform.ts";
import type { Ioas } from "./ioas.ts";

/** An attach, detach or close under way, and the IO address spaces whose answers it changes when nobody can tell. */
export class IoasChange {
  readonly ioases = new Set<Ioas>();
  /** Whether the answers may have changed; from a failed first attach, for one, the kernel recovers whole. */
  hasEffect = false;
  /** A device that has come into an empty IOAS: the answer is then what that device excludes. */
  alone: PlatformDevice | undefined;

  include(ioas: Ioas): void {
    if (this.ioases.has(ioas)) return;
    this.ioases.add(ioas);
    ioas.changeBegins();
  }

  /** Its effect is there, and the answers are other ones from now on; the change still goes on. */
  takeEffect(): void {
    if (this.hasEffect) for (const ioas of this.ioases) ioas.answersChange();
    this.hasEffect = false;
  }

  end(): void {
    this.takeEffect();
    for (const ioas of this.ioases) ioas.changeEnds();
  }
}
