/**
 * What starts differ in by what they need of the daemon's bundle: all that is in a code cache is read at once.
 * `supervised`: on this host, under systemd, so that it may be a restart, which takes over what was held. `unsupervised`:
 * on this host, without. `simulated`: on a simulated host.
 */
export const STARTS = ["supervised", "unsupervised", "simulated"] as const;
export type Start = (typeof STARTS)[number];

/** Which one it is, at a glance. Who has a simulated host from the config file starts a little slower. */
export function startOf(args: readonly string[], { NOTIFY_SOCKET }: NodeJS.ProcessEnv): Start {
  if (args.some((arg) => /^--simulate(=|$)/.test(arg))) return "simulated";
  return NOTIFY_SOCKET ? "supervised" : "unsupervised";
}
