import type { Inherited } from "./environment.ts";

/** What is spoken at a socket. */
export type Speech = "json-rpc" | "qmp" | "metrics";

/**
 * The names of listening sockets (FileDescriptorName= of a socket unit, or the unit's own name, which systemd takes
 * where there is none) and what is spoken at each.
 */
const SPEECH: Readonly<Record<string, Speech>> = {
  "iovad.socket": "json-rpc",
  iovad: "json-rpc",
  "iovad-qmp.socket": "qmp",
  qmp: "qmp",
  "iovad-metrics.socket": "metrics",
  metrics: "metrics",
};

export interface Listener extends Inherited {
  readonly speech: Speech;
}

/** Those of the inherited descriptors that are listening sockets. */
export function listenersAmong(inherited: readonly Inherited[]): Listener[] {
  return inherited.flatMap((each) => {
    const speech = Object.hasOwn(SPEECH, each.name) ? SPEECH[each.name] : undefined;
    return speech === undefined ? [] : [{ ...each, speech }];
  });
}
