/** A descriptor that the process was started with, under the name that systemd knows it by. */
export interface Inherited {
  readonly name: string;
  readonly fd: number;
}

/** What systemd tells a service by its environment. All of it is absent where nobody supervises the process. */
export interface ServiceEnvironment {
  /** Where to send notices: a path, or with `@` in front an abstract name. */
  readonly notifySocket: string | undefined;
  /** Microseconds within which a sign of life is due. */
  readonly watchdog: number | undefined;
  /** How many descriptors the store takes; undefined where systemd is older than 254 and does not say. */
  readonly storeSize: number | undefined;
  /** Sockets of socket units, and what the store has kept. */
  readonly inherited: readonly Inherited[];
}

/** The first descriptor that is passed (sd_listen_fds(3): SD_LISTEN_FDS_START). */
const FIRST = 3;

/** Reads sd_listen_fds(3), sd_watchdog_enabled(3) and sd_notify(3); what is meant for another `pid` does not count. */
export function readEnvironment(environment: NodeJS.ProcessEnv, pid: number): ServiceEnvironment {
  const { NOTIFY_SOCKET, FDSTORE, LISTEN_FDS, LISTEN_FDNAMES = "", LISTEN_PID } = environment;
  const { WATCHDOG_USEC, WATCHDOG_PID = String(pid) } = environment;
  const names = LISTEN_FDNAMES.split(":");
  const count = LISTEN_PID === String(pid) ? (natural(LISTEN_FDS) ?? 0) : 0;
  return {
    notifySocket: NOTIFY_SOCKET || undefined,
    watchdog: WATCHDOG_PID === String(pid) ? natural(WATCHDOG_USEC) || undefined : undefined,
    storeSize: natural(FDSTORE),
    inherited: Array.from({ length: count }, (_, i) => ({ name: names[i] || "unknown", fd: FIRST + i })),
  };
}

/** What a child must not take for its own. */
export function forgetEnvironment(environment: NodeJS.ProcessEnv): void {
  for (const name of ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_USEC", "WATCHDOG_PID"])
    delete environment[name];
}

function natural(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}
