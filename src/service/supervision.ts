import type { ServiceEnvironment } from "./environment.ts";
import type { NotifySocket } from "./notify-socket.ts";

/** Milliseconds between two looks at what the status says. */
const STATUS = 5_000;
/** Microseconds that are asked for at a time when the end takes long, and milliseconds between two times. */
const MORE_TIME = 30_000_000;
const PATIENCE = 5_000;

/** What systemd is told of the service. */
export class Supervision {
  readonly #notices: Pick<NotifySocket, "send" | "offer">;
  readonly #status: () => string;
  readonly #timers: NodeJS.Timeout[] = [];
  #extending: NodeJS.Timeout | undefined;
  #told = "";

  /** `status`: one line for people, as it is at the moment. */
  constructor(notices: Pick<NotifySocket, "send" | "offer">, status: () => string) {
    this.#notices = notices;
    this.#status = status;
  }

  /** What goes on takes as long as hardware does, until ready() or the end. */
  takeTime(): void {
    const extend = () => this.#notices.offer(`EXTEND_TIMEOUT_USEC=${MORE_TIME}`);
    extend();
    this.#extending = setInterval(extend, PATIENCE).unref();
  }

  /** The service serves; from now on the event loop gives signs of life. */
  ready({ watchdog }: Pick<ServiceEnvironment, "watchdog">): void {
    clearInterval(this.#extending);
    this.#told = this.#status();
    this.#notices.send(`READY=1\nSTATUS=${this.#told}`);
    this.#every(STATUS, () => this.#tellStatus());
    if (watchdog !== undefined) this.#every(watchdog / 2000, () => this.#notices.offer("WATCHDOG=1"));
  }

  /** Runs `reload`, and tells when it is over. */
  reload(reload: () => void): void {
    const microseconds = process.hrtime.bigint() / 1000n;
    this.#tell(`RELOADING=1\nMONOTONIC_USEC=${microseconds}`);
    try {
      reload();
    } finally {
      this.#tell("READY=1");
    }
  }

  /** The end begins. Signs of life go on. */
  stopping(): void {
    this.#tell("STOPPING=1\nSTATUS=ending");
    this.takeTime();
  }

  /** The end is over. */
  close(): void {
    clearInterval(this.#extending);
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** Waits for room, for nothing makes up for such a notice. What it tells of goes on also when nobody takes it any more. */
  #tell(notice: string): void {
    try {
      this.#notices.send(notice);
    } catch {}
  }

  #tellStatus(): void {
    const now = this.#status();
    if (now !== this.#told && this.#notices.offer(`STATUS=${now}`)) this.#told = now;
  }

  #every(milliseconds: number, tell: () => void): void {
    this.#timers.push(setInterval(tell, milliseconds).unref());
  }
}
