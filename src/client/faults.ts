import { ConnectionError } from "./errors.ts";

/** What can be wrong with a connection, each in a sentence that says what to do next, where there is something. */

interface Endpoint {
  readonly path: string;
  /** Milliseconds. */
  readonly patience: number;
}

/** What to do about the commonest reasons not to get in. */
const ADVICE: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket; start iovad, or say where it listens",
  ECONNREFUSED: "nobody listens there any more; start iovad",
  EACCES: "this user may not connect; ask for the socket's group, or for a role by iovad's --observe-user",
  EMFILE: "too many open files; raise the limit (ulimit -n)",
  ENFILE: "too many open files on this host",
};

/** For a failed call on a socket: the errno is the code. */
export function unreachable({ path }: Pick<Endpoint, "path">, error: Error): ConnectionError {
  const code = (error as NodeJS.ErrnoException).code ?? "CLOSED";
  const advice = ADVICE[code];
  return new ConnectionError(code, `${path}: ${advice ? `${code}: ${advice}` : error.message}`, error);
}

/** `limit` in bytes. */
export function longPath({ path }: Endpoint, limit: number): ConnectionError {
  return new ConnectionError("ENAMETOOLONG", `${path}: a socket's path has at most ${limit} bytes`);
}

export function silent({ path, patience }: Endpoint): ConnectionError {
  const message = `${path}: something listens there and has not greeted for ${patience / 1000} s; is iovad stopped?`;
  return new ConnectionError("SILENT", message);
}

export function stranger({ path }: Endpoint): ConnectionError {
  return new ConnectionError("NOT_IOVAD", `what listens at ${path} is not iovad`);
}

/** Characters of what should be a number. */
const LONGEST_VERSION = 40;

export function otherProtocol({ path }: Endpoint, theirs: unknown, ours: number): ConnectionError {
  const version = `${JSON.stringify(theirs)}`.slice(0, LONGEST_VERSION);
  const message = `${path}: iovad speaks version ${version} of the protocol, this client ${ours}; use both of one release`;
  return new ConnectionError("PROTOCOL", message);
}

export function garbage({ path }: Endpoint): ConnectionError {
  return new ConnectionError("GARBAGE", `${path}: iovad has sent what is no answer of this protocol's`);
}

export function noSubscription(): ConnectionError {
  return new ConnectionError(
    "GARBAGE",
    "iovad has answered subscribe with what is neither a snapshot nor a thread taken up",
  );
}

/** `limit` in bytes. */
export function tooLong({ path }: Endpoint, limit: number): ConnectionError {
  return new ConnectionError("TOO_LONG", `${path}: iovad has sent a line of more than ${limit} bytes`);
}

export function closedHere(): ConnectionError {
  return new ConnectionError("CLOSED", "this client is closed");
}

/** `lastWord`: what the daemon has said before, or nothing. */
export function closedThere(endpoint: Endpoint, lastWord: string, error?: Error): ConnectionError {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  // Those two say no more than that it is over.
  if (error && code !== "ECONNRESET" && code !== "EPIPE") return unreachable(endpoint, error);
  const why = lastWord === "" ? "" : `: ${lastWord}`;
  return new ConnectionError("CLOSED", `${endpoint.path}: iovad has closed the connection${why}`, error);
}

/** `error` is what koffi was not loaded for. */
export function noNativeCode(error: Error): ConnectionError {
  const [why = ""] = error.message.split("\n", 1);
  const message = `descriptors are received by koffi, which cannot be loaded here; install it for this machine (npm install koffi): ${why}`;
  return new ConnectionError("NO_KOFFI", message, error);
}
