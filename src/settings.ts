import * as z from "zod";
import { accountsOf, resolveAccount } from "./access/accounts.ts";
import { LIMITS } from "./limits.ts";
import { MAINLINE_IOMMUFD_IOCTLS } from "./uapi/iommufd.ts";

/** One thing that an operator can set: `--NAME VALUE` on the command line, the member NAME in the config file. */
export interface Setting {
  readonly name: string;
  /** What stands for the value in the help. */
  readonly value: string;
  readonly about: string;
  /** Made when the setting is given: to make them all is a tenth of the daemon's start. */
  readonly type: () => z.ZodType;
  /** May be given several times; an array in the config file. */
  readonly many?: true;
  /** The value is a number, also on the command line. */
  readonly isNumber?: true;
  /** Of a text: true when `type` takes it and makes nothing else of it, so that zod need not be asked. */
  readonly isRight?: (text: string) => boolean;
}

/** What can be asked for instead of serving. */
export const ERRANDS = {
  capture: "print a topology file of this host, for --simulate and for bug reports, and exit",
  "check-config": "say what is wrong with the command line and the config file, and exit",
  version: "print the version and exit",
  help: "print this help and exit",
} as const;
export type Errand = keyof typeof ERRANDS;

/** The file that the other settings may stand in. */
export const CONFIG = {
  name: "config",
  value: "FILE",
  about: "read options from there, a JSON object with their names; the command line wins",
};

/** The default of --lease-grace, in seconds. */
export const LEASE_GRACE = 30;

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

const TEXT = {
  type: () => z.string({ error: "takes text" }).min(1, { error: "takes text, and not none" }),
  isRight: (given: string) => given !== "",
};

const count = (min: number, max: number) => () => {
  const error = `takes a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
};

/** Users or groups by name or number; decoded to numbers. */
const accounts = (file: "/etc/passwd" | "/etc/group") => () => {
  const kind = file === "/etc/passwd" ? "user" : "group";
  const known = accountsOf(file);
  const account = z
    .union([z.string(), z.number()], { error: `takes the name or the number of a ${kind}` })
    .transform((given, context) => {
      const id = resolveAccount(given, known);
      if (id !== undefined) return id;
      const message = `names no ${kind}: ${JSON.stringify(given)} is not in ${file}; a number needs no entry there`;
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    });
  return z.array(account, { error: `takes an array of ${kind}s` });
};

/** A number that mainline uses would do something else: 0x3b8b, the one of the patch, starts dirty tracking. */
const ioctlNumber = () =>
  z
    .string({ error: 'takes text, as in "0x3bb0"' })
    .refine((given) => /^0x3b[0-9a-f]{2}$/i.test(given) && Number(given) >= 0x3b80, {
      error: "takes an iommufd ioctl's number, from 0x3b80 to 0x3bff",
      abort: true,
    })
    .refine((given) => !MAINLINE_IOMMUFD_IOCTLS.has(Number(given)), {
      error: ({ input }) => `takes no number that is in use: mainline Linux uses ${input} for something else`,
    })
    .transform(Number);

const USERS = accounts("/etc/passwd");
const GROUPS = accounts("/etc/group");

export const GENERAL: readonly Setting[] = [
  {
    name: "socket",
    value: "PATH",
    about:
      "listen there, in a directory that is made when missing (default: /run/iovad/iovad.sock for root, $XDG_RUNTIME_DIR/iovad.sock for others)",
    ...TEXT,
  },
  {
    name: "qmp-socket",
    value: "PATH",
    about: "listen there as well, for clients that speak QMP (qmp-shell, for one)",
    ...TEXT,
  },
  {
    name: "metrics-socket",
    value: "PATH",
    about: "listen there as well, for what scrapes metrics: HTTP, GET /metrics, in OpenMetrics text",
    ...TEXT,
  },
  { name: "simulate", value: "FILE", about: "serve the simulated host of a topology file", ...TEXT },
  {
    name: "log-level",
    value: "LEVEL",
    about: `${LOG_LEVELS.join(", ")} (default: info)`,
    type: () => z.enum(LOG_LEVELS, { error: `takes one of ${LOG_LEVELS.join(", ")}` }),
    isRight: (level) => (LOG_LEVELS as readonly string[]).includes(level),
  },
  {
    name: "lease-grace",
    value: "SECONDS",
    about: `after a restart that has kept them, contexts of connections wait so long for their clients to come back (default: ${LEASE_GRACE})`,
    type: count(0, 86_400),
    isNumber: true,
  },
  {
    name: "resv-iova-ranges-ioctl",
    value: "0xNNNN",
    about: "the kernel has the proposed IOMMU_RESV_IOVA_RANGES under this number",
    type: ioctlNumber,
  },
];

export const ACCESS: readonly Setting[] = [
  { name: "control-user", value: "USER", about: "may do everything, beside root", type: USERS, many: true },
  {
    name: "control-group",
    value: "GROUP",
    about: "its members may do everything",
    type: GROUPS,
    many: true,
  },
  {
    name: "observe-user",
    value: "USER",
    about: "may ask what changes nothing",
    type: USERS,
    many: true,
  },
  {
    name: "observe-group",
    value: "GROUP",
    about: "its members may ask what changes nothing (default: the socket's group)",
    type: GROUPS,
    many: true,
  },
];

/** Each is answered with LimitExceeded and its name in data.limit. */
export const LIMIT_SETTINGS: readonly Setting[] = Object.entries(LIMITS).map(
  ([name, { unit, about, default: value, min, max }]) => ({
    name,
    value: unit,
    about: `${about} (default: ${value})`,
    type: count(min, max),
    isNumber: true,
  }),
);

export const SETTINGS: readonly Setting[] = [...GENERAL, ...ACCESS, ...LIMIT_SETTINGS];
