import { Client } from "./client.ts";
import type { ConnectionError, DaemonError } from "./errors.ts";
import * as fault from "./faults.ts";
import { type Dial, dial } from "./transport.ts";

/** What `import … from "iovad"` gives: a client of the daemon for programs. */
export type { Client } from "./client.ts";
export { ConnectionError, type ConnectionFault, DaemonError, type ErrorClass } from "./errors.ts";
export type { EventOptions, EventStream, StreamItem } from "./event-stream.ts";
export { type FoldedEvent, fold } from "./fold.ts";
export type {
  Arguments,
  DaemonEvent,
  EventName,
  Greeting,
  MethodName,
  Params,
  Position,
  Result,
  Snapshot,
} from "./types.ts";

/** Where the daemon of the host listens. */
export const DEFAULT_SOCKET = "/run/iovad/iovad.sock";

export interface ConnectOptions {
  /** DEFAULT_SOCKET when left out. */
  readonly socket?: string;
  /**
   * A program that speaks for the daemon over its standard streams, with its arguments: `["ssh", "host", "iovactl",
   * "proxy"]`. Messages name it by `socket`.
   */
  readonly via?: readonly [string, ...string[]];
  /** Comes back by itself after the connection is lost, and takes up the events where they were; false when left out. */
  readonly reconnect?: boolean;
  /** Told when the connection is lost and another one will be tried for. */
  readonly connectionLost?: (reason: ConnectionError | DaemonError) => void;
  /** Told of each context whose lease could not be taken up again after reconnecting, and why. */
  readonly leaseLost?: (context: string, reason: Error) => void;
  /** For callForDescriptors(): loads native code (koffi). */
  readonly descriptors?: boolean;
  /** Milliseconds that the daemon has to let this client in, 10,000 when left out. */
  readonly patience?: number;
  /** Bytes of the longest answer that is taken, 256 MiB when left out. */
  readonly maxLine?: number;
}

const PATIENCE = 10_000;
const MAX_LINE = 256 * 1024 * 1024;

/**
 * Resolves when the daemon has greeted. Rejects with ConnectionError when it cannot be reached or is no iovad, with
 * DaemonError when it lets this client not in.
 */
export async function connect({
  socket = DEFAULT_SOCKET,
  via,
  reconnect = false,
  connectionLost = () => {},
  leaseLost = () => {},
  descriptors = false,
  patience = PATIENCE,
  maxLine = MAX_LINE,
}: ConnectOptions = {}): Promise<Client> {
  if (descriptors && via)
    throw new TypeError("descriptors come over a socket of this host only, not via a command");
  return Client.connect({
    path: socket,
    dial: descriptors ? await dialForDescriptors() : via ? await dialBy(via) : dial,
    descriptors,
    reconnect,
    connectionLost,
    leaseLost,
    patience,
    maxLine,
    random: Math.random,
  });
}

/** Loaded only here: nothing else of the client needs native code. */
async function dialForDescriptors(): Promise<Dial> {
  try {
    return (await import("./descriptor-socket.ts")).dialForDescriptors;
  } catch (error) {
    throw fault.noNativeCode(error as Error);
  }
}

/** Most clients start no process. */
async function dialBy(command: readonly [string, ...string[]]): Promise<Dial> {
  return (await import("./process-transport.ts")).dialProcess(command);
}
