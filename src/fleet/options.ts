import { hostname } from "node:os";
import { parseArgs } from "node:util";
import { USUAL_SOCKET } from "../client/usual-socket.ts";
import { faultOf, UsageError } from "../command-line.ts";
import { HOST_NAME, USUAL_INTERVAL } from "./record.ts";
import { type StoreOptions, storeOptions } from "./stores/open.ts";

export interface FleetOptions {
  /** The usual one, by the time that it is there, when undefined. */
  readonly socket: string | undefined;
  readonly host: string;
  readonly store: StoreOptions;
  readonly features: string | undefined;
  /** Seconds. */
  readonly interval: number;
}

export const HELP = `iovad-fleet: tell the other hosts what this one allows

Usage: iovad-fleet [OPTION]... --to DIR | --nats URL

  --to DIR           into a directory that all share, a file for each host
  --nats URL         into NATS JetStream, e.g. nats://nats.example:4222; several servers of a
                     cluster with commas between them
  --creds FILE       a user's credentials for NATS, as nsc makes them
  --tls-ca FILE      who vouches for the servers' certificates, in PEM; means TLS
  --tls-cert FILE    a certificate of our own, and
  --tls-key FILE     its key, for servers that ask for one
  --replicas N       copies of what is published, for the one that makes the buckets (default: 1)
  --name HOST        the name to publish under (default: the name of the host)
  --interval SECONDS between two heartbeats; after three without one a host is stale (default: ${USUAL_INTERVAL})
  --features DIR     write labels for Kubernetes there, for Node Feature Discovery's local source:
                     /etc/kubernetes/node-feature-discovery/features.d as a rule
  --socket PATH      where iovad listens
                     (default: ${USUAL_SOCKET})
  --version          print the version and exit
  --help             print this help and exit

It asks only what the role observe may ask. SIGTERM ends it, and the host is then gone and not stale.
Exit status: 0 after SIGTERM or SIGINT; 1 when iovad refuses for good; 2 for a wrong command line.
`;

/** @throws UsageError */
export function parseOptions(args: readonly string[]): FleetOptions | "help" | "version" {
  const values = parse(args);
  if (values.help) return "help";
  if (values.version) return "version";
  const { to, nats, name: host = hostname() } = values;
  if ((to === undefined) === (nats === undefined)) {
    throw new UsageError("where to? give either --to DIR or --nats URL; try --help");
  }
  if (!HOST_NAME.test(host)) {
    throw new UsageError(
      `--name takes letters, digits, "-", "_" and dots between them, 200 at most, and not ${JSON.stringify(host)}`,
    );
  }
  return {
    socket: values.socket,
    host,
    store: storeOptions({ ...values, directory: to }),
    features: values.features,
    interval: secondsOf(values.interval),
  };
}

function secondsOf(text: string | undefined): number {
  if (text === undefined) return USUAL_INTERVAL;
  const seconds = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && seconds >= 0.1 && seconds <= 86_400) return seconds;
  throw new UsageError(`--interval takes seconds, from 0.1 to 86400, and not "${text}"`);
}

function parse(args: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        ...{ to: text, nats: text, creds: text, "tls-ca": text, "tls-cert": text, "tls-key": text },
        ...{ replicas: text, name: text, interval: text, features: text, socket: text },
        ...{ version: flag, help: flag },
      },
    }).values;
  } catch (error) {
    throw new UsageError(faultOf(error));
  }
}
