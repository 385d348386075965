/** Of util-linux. */
export const SETPRIV = "setpriv";

/**
 * The command line of a command that gets the signal when its parent dies, whatever that dies of (prctl(2):
 * PR_SET_PDEATHSIG). The call has to be made between fork and exec, where Node.js lets nobody in, so setpriv(1) makes
 * it; execve keeps it. The parent may be dead by then, and then nothing is run: the shell looks.
 */
export function withDeathSignal(
  command: readonly [string, ...string[]],
  signal: string,
  parent: number,
): [string, ...string[]] {
  const look = `[ "$PPID" = ${parent} ] || exit; exec "$@"`;
  return [SETPRIV, "--pdeathsig", signal, "sh", "-c", look, "iovad-run", ...command];
}
