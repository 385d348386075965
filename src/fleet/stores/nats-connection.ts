import { readFileSync } from "node:fs";
import {
  type Authenticator,
  connect,
  credsAuthenticator,
  type NatsConnection,
} from "@nats-io/transport-node";
import { backoff } from "../../client/backoff.ts";
import { StoreError } from "./store.ts";

/** How the way to a NATS server is opened. */
export interface NatsOptions {
  /** URLs of one server, or of several of a cluster. */
  readonly servers: readonly string[];
  /** A file with a user's JWT and seed (`nsc generate creds`). */
  readonly creds?: string | undefined;
  /** Files in PEM. A CA, or a certificate of one's own, means TLS. */
  readonly tlsCa?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  /** Copies of what is kept, for who makes the buckets. */
  readonly replicas: number;
}

/** Milliseconds until a server that says nothing is given up. */
const PATIENCE = 4000;

/** A connection that comes back for as long as it takes. Rejects with StoreError when the first does not come about. */
export async function connectToNats(options: NatsOptions, random: () => number): Promise<NatsConnection> {
  const { servers, creds, tlsCa, tlsCert, tlsKey } = options;
  // Read anew for each connection: certificates are replaced before they expire.
  const tls = {
    ...(tlsCa === undefined ? {} : { caFile: readable("--tls-ca", tlsCa) }),
    ...(tlsCert === undefined ? {} : { certFile: readable("--tls-cert", tlsCert) }),
    ...(tlsKey === undefined ? {} : { keyFile: readable("--tls-key", tlsKey) }),
  };
  let waits = patient(random);
  const authenticator = creds === undefined ? [] : [credsFrom(creds)];
  try {
    const connection = await connect({
      servers: [...servers],
      name: "iovad-fleet",
      timeout: PATIENCE,
      maxReconnectAttempts: -1,
      // A server whose accounts are being put in order refuses for a while.
      ignoreAuthErrorAbort: true,
      pingInterval: 10_000,
      reconnectDelayHandler: () => waits(),
      ...(authenticator.length > 0 ? { authenticator } : {}),
      ...(Object.keys(tls).length > 0 ? { tls } : {}),
    });
    void (async () => {
      for await (const { type } of connection.status()) if (type === "reconnect") waits = patient(random);
    })();
    return connection;
  } catch (error) {
    throw new StoreError(
      `no NATS server at ${places(servers)}: ${(error as Error).message || "it does not answer"}`,
    );
  }
}

/** Read anew for each connection: credentials are replaced before they expire. */
function credsFrom(file: string): Authenticator {
  let text = textOf("--creds", file);
  return (nonce) => {
    try {
      text = textOf("--creds", file);
    } catch {
      // What was there is as good as anything.
    }
    return credsAuthenticator(new TextEncoder().encode(text))(nonce);
  };
}

/** The client asks for its wait each time that it looks whether it is over: the next one begins when this one has. */
function patient(random: () => number): () => number {
  const waits = backoff(random);
  let [wait, end] = [0, 0];
  return () => {
    const now = performance.now();
    if (now >= end) {
      wait = waits.next().value;
      end = now + wait;
    }
    return wait;
  };
}

/** Without a password that stands in them. */
export function places(servers: readonly string[]): string {
  return servers.map((server) => server.replace(/\/\/[^/@]*@/, "//")).join(", ");
}

/** The same file. Throws here, with the option's name, where the client would not say which it is. */
function readable(option: string, file: string): string {
  textOf(option, file);
  return file;
}

function textOf(option: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new StoreError(`${option}: ${(error as Error).message}`);
  }
}
