import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import * as z from "zod";
import type { AccessRules } from "./access/policy.ts";
import { faultOf, joinValues } from "./command-line.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";
import { CONFIG, ERRANDS, type Errand, LEASE_GRACE, SETTINGS, type Setting } from "./settings.ts";

/** Which host is meant. */
export interface HostChoice {
  /** A topology file to simulate; without it, the host itself. */
  readonly simulate?: string;
  /** The number of IOMMU_RESV_IOVA_RANGES on a kernel that has the patch. */
  readonly resvIovaRangesIoctl?: number;
}

/** A topology file is asked for. */
export interface CaptureOptions extends HostChoice {
  readonly errand: "capture";
}

/** What the command line and the config file ask for. What is absent has its default elsewhere. */
export interface Options extends HostChoice {
  readonly errand?: never;
  readonly socket: string;
  /** Where QMP's dialect is spoken. */
  readonly qmpSocket?: string;
  /** Where metrics are served over HTTP. */
  readonly metricsSocket?: string;
  /** The file that other options came from. */
  readonly config?: string;
  readonly logLevel: string;
  /** Seconds that contexts of connections wait for their clients after a restart. */
  readonly leaseGrace: number;
  readonly access: AccessRules;
  readonly limits: Limits;
}

/** The command line or the config file is wrong. Each problem is one line that says how to put it right. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("; "));
    this.problems = problems;
  }
}

/** Values by the names of settings, as the command line or the config file gives them. */
type Given = Record<string, unknown>;

const NUMBERS = new Set(SETTINGS.flatMap(({ name, isNumber }) => (isNumber ? name : [])));

/** Reads the command line, and the config file that it names. @throws UsageError with all problems */
export function parseOptions(
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  uid: number,
): Options | CaptureOptions | Exclude<Errand, "capture"> {
  const { config, help, version, capture, "check-config": check, ...given } = parse(args);
  if (help) return "help";
  if (version) return "version";
  const problems: string[] = [];
  const values = {
    ...(config === undefined ? {} : decode(readConfig(config as string, problems), `${config}: `, problems)),
    ...decodeArguments(given, problems),
  };
  const refuse = () => {
    if (problems.length > 0) throw new UsageError(check ? problems : [problems.join("; ")]);
  };
  refuse();
  if (capture && !check) return { errand: "capture", ...toHostChoice(values) };
  const socket = values.socket ?? defaultSocket(environment, uid);
  problems.push(...sharedPaths({ ...values, socket }));
  refuse();
  return check ? "check-config" : toOptions({ ...values, socket, config });
}

function parse(args: readonly string[]): Given {
  const option = ({ name, many }: Pick<Setting, "name" | "many">) =>
    [name, { type: "string", ...(many ? { multiple: true } : {}) }] as const;
  const options = {
    ...Object.fromEntries([...SETTINGS, CONFIG].map(option)),
    ...Object.fromEntries(Object.keys(ERRANDS).map((name) => [name, { type: "boolean" }] as const)),
  };
  try {
    return parseArgs({ args: joinValues(args, (name) => NUMBERS.has(name), /^-\d/), options }).values;
  } catch (error) {
    throw new UsageError([faultOf(error, Object.keys(options))]);
  }
}

/** Most command lines have a path or two, and to ask zod of them is a twentieth of the daemon's start. */
function decodeArguments(given: Given, problems: string[]): Given {
  const entries = Object.entries(given);
  if (entries.every(([name, value]) => settingOf(name)?.isRight?.(value as string))) return given;
  return decode(Object.fromEntries(entries.map(fromText)), "--", problems);
}

function settingOf(name: string): Setting | undefined {
  return SETTINGS.find((setting) => setting.name === name);
}

/** On the command line everything is text; a number is meant where one would do. */
function fromText([name, value]: [string, unknown]): [string, unknown] {
  return [name, NUMBERS.has(name) && /^\d+$/.test(String(value)) ? Number(value) : value];
}

function readConfig(path: string, problems: string[]): Given {
  try {
    // A FIFO would be waited for, a device read without end.
    if (!statSync(path).isFile()) throw new Error("is no regular file");
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    problems.push(`${path}: ${code === "ENOENT" ? "there is no such file" : message}`);
    return {};
  }
}

/** Checks values and gives them the form that the daemon takes them in. */
function decode(given: Given, prefix: string, problems: string[]): Given {
  const types = SETTINGS.flatMap(({ name, type }) =>
    Object.hasOwn(Object(given), name) ? [[name, type()] as const] : [],
  );
  const parsed = z.strictObject(Object.fromEntries(types)).safeParse(given, { error: whole, jitless: true });
  if (parsed.success) return parsed.data;
  for (const { path, message } of parsed.error.issues) problems.push(`${prefix}${pathOf(path)}${message}`);
  return {};
}

/** For what concerns the file as a whole; the settings speak for themselves. */
function whole(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === "unrecognized_keys")
    return `knows no ${issue.keys.map((key) => JSON.stringify(key)).join(", ")}`;
  return issue.code === "invalid_type" ? "takes an object" : undefined;
}

/** `control-group[1] `; nothing for the whole. */
function pathOf(path: readonly PropertyKey[]): string {
  return path.length === 0 ? "" : `${path.map((key, at) => (at === 0 ? key : `[${String(key)}]`)).join("")} `;
}

/** Each socket needs a path of its own. */
function sharedPaths(values: Given): string[] {
  const names = new Map<string, string>();
  return ["socket", "qmp-socket", "metrics-socket"].flatMap((name) => {
    if (values[name] === undefined) return [];
    const path = resolve(values[name] as string);
    const other = names.get(path);
    names.set(path, name);
    return other === undefined
      ? []
      : `--${name} and --${other} are one path, and each needs its own: ${path}`;
  });
}

function toOptions(values: Given): Options {
  const {
    socket,
    config,
    "qmp-socket": qmpSocket,
    "metrics-socket": metricsSocket,
    "log-level": logLevel = "info",
  } = values;
  const ids = (name: string) => (values[name] ?? []) as number[];
  const limits = Object.entries(DEFAULT_LIMITS).map(([name, usual]) => [name, values[name] ?? usual]);
  return {
    socket: socket as string,
    logLevel: logLevel as string,
    leaseGrace: (values["lease-grace"] ?? LEASE_GRACE) as number,
    ...(config === undefined ? {} : { config: config as string }),
    ...(qmpSocket === undefined ? {} : { qmpSocket: qmpSocket as string }),
    ...(metricsSocket === undefined ? {} : { metricsSocket: metricsSocket as string }),
    ...toHostChoice(values),
    access: {
      controlUsers: ids("control-user"),
      controlGroups: ids("control-group"),
      observeUsers: ids("observe-user"),
      observeGroups: ids("observe-group"),
    },
    limits: Object.fromEntries(limits),
  };
}

/** What is looked at when the daemon starts, and never again, with the names of the settings. */
const AT_START: Readonly<
  Record<Exclude<keyof Options, "errand" | "config" | "logLevel" | "access" | "limits">, string>
> = {
  socket: "socket",
  qmpSocket: "qmp-socket",
  metricsSocket: "metrics-socket",
  simulate: "simulate",
  leaseGrace: "lease-grace",
  resvIovaRangesIoctl: "resv-iova-ranges-ioctl",
};

/** The settings that take effect with a restart, of those that differ. */
export function waitingForRestart(running: Options, asked: Options): string[] {
  return Object.entries(AT_START).flatMap(([key, name]) =>
    running[key as keyof Options] === asked[key as keyof Options] ? [] : name,
  );
}

function toHostChoice({ simulate, "resv-iova-ranges-ioctl": ioctl }: Given): HostChoice {
  return {
    ...(simulate === undefined ? {} : { simulate: simulate as string }),
    ...(ioctl === undefined ? {} : { resvIovaRangesIoctl: ioctl as number }),
  };
}

function defaultSocket({ XDG_RUNTIME_DIR }: NodeJS.ProcessEnv, uid: number): string {
  if (uid === 0) return "/run/iovad/iovad.sock";
  if (XDG_RUNTIME_DIR) return `${XDG_RUNTIME_DIR}/iovad.sock`;
  throw new UsageError(["XDG_RUNTIME_DIR is not set: say where to listen with --socket PATH"]);
}
