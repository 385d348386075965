import { chmodSync, statSync } from "node:fs";
import type { Logger } from "pino";
import { type AccessRules, accessPolicy, hasRules, type Peer } from "./access/policy.ts";
import type { Options } from "./options.ts";
import { qmp } from "./rpc/dialects/qmp.ts";
import type { MetricsServer } from "./rpc/metrics-server.ts";
import type { Access, RpcServer } from "./rpc/server.ts";
import type { Listener, Speech } from "./service/listeners.ts";
import { loadPeerCredentials } from "./unix/credentials.ts";
import * as courier from "./unix/send-descriptors.ts";
import { acceptDescriptors, refuseDescriptors } from "./unix/sent-descriptors.ts";

/** Where the daemon makes a socket of its own: of what is spoken at none that systemd listens at. */
type OwnSockets = Partial<Record<Speech, string | undefined>>;

export function ownSockets(
  { socket, qmpSocket, metricsSocket }: Options,
  inherited: readonly Listener[],
): OwnSockets {
  const paths: OwnSockets = { "json-rpc": socket, qmp: qmpSocket, metrics: metricsSocket };
  for (const { speech } of inherited) delete paths[speech];
  return paths;
}

/** At all of them or, when it throws, at none: nothing of the daemon's own stays behind. */
export async function listenAll(
  { server, metrics }: { readonly server: RpcServer; readonly metrics: MetricsServer },
  inherited: readonly Listener[],
  own: OwnSockets,
  { mode }: { mode(): number },
): Promise<void> {
  const at = (speech: Speech) => inherited.filter((each) => each.speech === speech);
  try {
    for (const { fd } of at("json-rpc")) await server.adopt(fd);
    for (const { fd } of at("qmp")) await server.adopt(fd, qmp);
    for (const { fd } of at("metrics")) await metrics.adopt(fd);
    if (own["json-rpc"] !== undefined) await server.listen(own["json-rpc"], mode());
    if (own.qmp !== undefined) await server.listen(own.qmp, mode(), qmp);
    if (own.metrics !== undefined) await metrics.listen(own.metrics, mode());
  } catch (error) {
    await Promise.all([metrics.close(), server.close()]);
    throw error;
  }
}

/** Who is let in, by rules that may change, and with which mode sockets are made. */
export function openDoor({ simulate, socket, access: first }: Options, log: Logger, own: OwnSockets) {
  const uid = process.geteuid?.() ?? -1;
  const peerOf = credentials(simulate !== undefined, uid, log);
  const socketGroup = () => statSync(socket, { throwIfNoEntry: false })?.gid;
  let rules = first;
  let policy = accessPolicy(rules, { uid, socketGroup });
  // Rules may name people outside the socket's group; credentials keep out the rest.
  const mode = () => (peerOf.areKnown ? (hasRules(rules) ? 0o666 : 0o660) : 0o600);
  const access: Access = {
    peerOf(socket) {
      const peer = peerOf.ask(socket);
      // Who may send the daemon any signal need not send descriptors to stop it, and may do so out of habit.
      if (peer?.uid === 0 || peer?.uid === uid) peerOf.trust(socket);
      return peer;
    },
    roleOf: (peer) => policy(peer),
    guard: peerOf.guard,
  };
  const admitBy = (changed: AccessRules) => {
    rules = changed;
    policy = accessPolicy(rules, { uid, socketGroup });
    // The modes of systemd's sockets are systemd's.
    for (const path of Object.values(own)) {
      try {
        if (path !== undefined) chmodSync(path, mode());
      } catch (err) {
        // Somebody has removed it: nobody can come in there, and who is in stays.
        log.error({ err, path }, "the mode of a socket cannot be changed");
      }
    }
  };
  return { access, mode, admitBy, courier: peerOf.courier };
}

/**
 * Who has connected, by the kernel's word. That takes native code; where it cannot be loaded, a simulated host is served
 * to the daemon's own user alone, which the socket's mode sees to.
 */
function credentials(isSimulated: boolean, uid: number, log: Logger) {
  try {
    const [guard, trust] = [refuseDescriptors, acceptDescriptors];
    return { areKnown: true, ask: loadPeerCredentials(), courier, guard, trust };
  } catch (err) {
    if (!isSimulated) throw err;
    log.warn({ err }, "no native code: only the daemon's own user is let in, and nothing can be handed over");
    const own: Peer = { uid, gid: -1, pid: 0, groups: [] };
    return { areKnown: false, ask: () => own, courier: undefined, guard() {}, trust() {} };
  }
}
