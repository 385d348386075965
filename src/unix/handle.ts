import type { Server, Socket } from "node:net";

/**
 * The descriptor of a socket that is connected or listens; null when the socket is closed, or when this Node.js does not tell.
 *
 * The only place that relies on an undocumented member: Node.js has no function for it, and only the descriptor leads
 * to the peer's credentials and to SCM_RIGHTS. The number is good until the next turn of the event loop.
 */
export function descriptorOf(socket: Socket | Server): number | null {
  const { _handle: handle } = socket as { _handle?: { fd?: unknown } | null };
  const fd = handle?.fd;
  return typeof fd === "number" && fd >= 0 ? fd : null;
}
