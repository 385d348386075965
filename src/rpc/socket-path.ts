import {
  closeSync,
  constants,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { connect, type Server } from "node:net";
import { dirname } from "node:path";
import { getSystemErrorMap } from "node:util";
import { randomBytes } from "../random.ts";

/** sun_path holds 108 bytes with the final zero (linux/un.h); libuv would cut a longer path short. */
const PATH_LIMIT = 107;

/** A path that this process listens at. */
export interface BoundSocket {
  /** Removes the path if it is still ours. To be called while the server still listens, see listenAt. */
  release(): void;
}

/**
 * Makes `server` listen at `path`, with `mode` and in a directory that is made when missing, for others to enter if
 * `mode` lets them connect. A stale socket file is taken over, and of several daemons that start at once exactly one succeeds, without a lock that could go stale.
 *
 * 1. A socket is bound and listens under a random name first, so that at `path` there is never one that is bound and
 *    does not listen yet: such a one could not be told from a stale one.
 * 2. link(2) gives it the name `path`, if that is free: exactly one can.
 * 3. Otherwise a socket at `path` that refuses connections is stale for good. Only who holds the claim on its inode
 *    may replace it. A claim is a name made of the inode's number, acquired in this very way; it names the claimant's
 *    own socket, so a dead claimant's claim is seen to be stale. Under the claim the socket is looked at once more,
 *    and rename(2) turns the claim into `path`, which gives it up in the same instant.
 *
 * A path is removed only by its live owner, hence never while somebody takes it over.
 *
 * @throws Error that names the path: another daemon listens there, it is no socket, it is too long, or an errno
 */
export async function listenAt(server: Server, path: string, mode = 0o660): Promise<BoundSocket> {
  const length = Buffer.byteLength(path);
  if (length > PATH_LIMIT) {
    throw new Error(`the socket path is ${length} bytes long, and ${PATH_LIMIT} is the limit: ${path}`);
  }
  mkdirSync(dirname(path), { recursive: true, mode: mode & 0o002 ? 0o755 : 0o750 });
  const directory = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  // By way of the descriptor every name in the directory is short enough for a socket.
  const prefix = `/proc/self/fd/${directory}/.iovad-`;
  const temporary = prefix + randomBytes(8).toString("hex");
  try {
    await listen(server, temporary, mode);
    await acquire(path, temporary, prefix, path);
    const own = lstatSync(path);
    unlinkSync(temporary);
    return { release: () => removeIfSame(path, own) };
  } catch (error) {
    // This removes the random name too. A server that never came to listen calls back with an error of no interest.
    await new Promise((resolve) => server.close(resolve));
    throw speakingOf(path, error as NodeJS.ErrnoException);
  } finally {
    closeSync(directory);
  }
}

/** An errno tells of the names that are used on the way. */
function speakingOf(path: string, error: NodeJS.ErrnoException): Error {
  const known = error.errno === undefined ? undefined : getSystemErrorMap().get(error.errno);
  if (!known) return error;
  const [code, reason] = known;
  return Object.assign(new Error(`cannot listen at ${path}: ${reason} (${code})`, { cause: error }), {
    code,
  });
}

/** bind(2) gives the file the mode that the umask leaves; a chmod afterwards would come too late for somebody. */
function listen(server: Server, path: string, mode: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const umask = process.umask(0o777 & ~mode);
    try {
      server.listen(path, () => {
        server.off("error", reject);
        resolve();
      });
    } finally {
      process.umask(umask);
    }
  });
}

/** Makes `path` a name of the listening socket `own`. Claims are made of `prefix`; messages speak of `subject`. */
async function acquire(path: string, own: string, prefix: string, subject: string): Promise<void> {
  while (!linked(own, path)) {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) continue;
    if (!found.isSocket()) throw new Error(`there is something at ${subject} that is not a socket`);
    if (await listens(path)) throw new Error(`another iovad is listening at ${subject}`);
    const claim = `${prefix}claim-${found.ino}`;
    await acquire(claim, own, prefix, subject);
    if (isSame(path, found) && !(await listens(path))) {
      renameSync(claim, path);
      return;
    }
    unlinkSync(claim);
  }
}

/** False when something is there already. */
function linked(existing: string, path: string): boolean {
  try {
    linkSync(existing, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Whether a process listens at the socket. Also true when its backlog is full; false when the socket is gone. */
function listens(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
      else if (error.code === "EAGAIN") resolve(true);
      else reject(error);
    });
  });
}

function isSame(path: string, { dev, ino }: Stats): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found?.dev === dev && found.ino === ino;
}

function removeIfSame(path: string, own: Stats): void {
  if (isSame(path, own)) unlinkSync(path);
}
