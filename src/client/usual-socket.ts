import { existsSync } from "node:fs";
import { DEFAULT_SOCKET } from "./index.ts";

/** Where the commands look for the daemon when nobody says, for their help. */
export const USUAL_SOCKET = `${DEFAULT_SOCKET}, or else $XDG_RUNTIME_DIR/iovad.sock`;

/** That of the host, or else of a daemon that this user has started. */
export function usualSocket({ XDG_RUNTIME_DIR }: NodeJS.ProcessEnv): string {
  const own = XDG_RUNTIME_DIR ? `${XDG_RUNTIME_DIR}/iovad.sock` : undefined;
  return own !== undefined && !existsSync(DEFAULT_SOCKET) && existsSync(own) ? own : DEFAULT_SOCKET;
}
