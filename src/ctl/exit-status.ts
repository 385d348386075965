import { ConnectionError, DaemonError } from "../client/index.ts";
import { UsageError } from "../command-line.ts";
import { StoreError } from "../fleet/stores/store.ts";

/** What a script can tell from the exit status. */
export const EXIT = { yes: 0, no: 1, usage: 2, noDaemon: 3, noPermission: 4 } as const;

/** For the help and the man page. */
export const EXIT_SUMMARIES: Readonly<Record<keyof typeof EXIT, string>> = {
  yes: "yes, or done",
  no: "no: it does not fit, was refused, or something is broken",
  usage: "the command line is wrong",
  noDaemon: "there is no daemon",
  noPermission: "this user may not",
};

/** The daemon's words for a request that cannot be meant. */
const MISUSED: ReadonlySet<string | undefined> = new Set([
  "InvalidParams",
  "InvalidRequest",
  "MethodNotFound",
]);

/** Of a failure. */
export function exitStatusOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof ConnectionError) {
    return error.code === "EACCES" || error.code === "EPERM" ? EXIT.noPermission : EXIT.noDaemon;
  }
  // Of a fleet it is the store that is asked.
  if (error instanceof StoreError) return EXIT.noDaemon;
  if (isSurprise(error)) return EXIT.noDaemon;
  if (!(error instanceof DaemonError)) return EXIT.no;
  if (error.class === "PermissionDenied") return EXIT.noPermission;
  return MISUSED.has(error.class) ? EXIT.usage : EXIT.no;
}

/** What an answer of another form than the one that is known makes of a command: no answer, and not a no. */
export function isSurprise(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError;
}
