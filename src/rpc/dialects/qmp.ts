import type { JSONRPCError } from "json-rpc-2.0";
import * as z from "zod";
import { lazily } from "../../lazily.ts";
import type { Dialect } from "../dialect.ts";
import { weigh } from "../encode.ts";
import { invalidParams, invalidRequest, quote, unknownMember } from "../errors.ts";
import type { Fault, Request } from "../message.ts";
import { type DaemonInfo, defineMethod, type Method, noParams } from "../method.ts";
import { queryCommands, queryVersion } from "../methods/introspection.ts";
import { kept } from "../schema/kept.ts";
import { enclose } from "../text.ts";
import { INEXACT, isExact } from "../top-level-id.ts";
import type { WireEvent } from "../wire-event.ts";
import { JsonReader } from "./json-reader.ts";
import { qmpSchema } from "./qmp-schema.ts";

/** The members of a command (QEMU's docs/interop/qmp-spec.rst: Issuing Commands). */
const MEMBERS = ["execute", "arguments", "id"];
const NEGOTIATE = "qmp_capabilities";

/** Values in an id, which may be anything: it is put into words at once, with each answer. */
const ID_LIMIT = 4096;

/** `class` is QAPI's own (QEMU's qapi/error.json: QapiErrorClass); everything without one of them is generic. */
const CLASSES: Readonly<Record<string, string>> = {
  MethodNotFound: "CommandNotFound",
  DeviceNotFound: "DeviceNotFound",
};

/**
 * QMP as QEMU's docs/interop/qmp-spec.rst has it, a message a line in answers; a new one for every connection, since that negotiates
 * first. Out-of-band execution is not offered.
 */
export function qmp(): Dialect {
  let isNegotiated = false;
  const capabilities = qmpCapabilities(() => {
    isNegotiated = true;
  });

  const refusal = (command: string): string | undefined => {
    if (!isNegotiated && command !== NEGOTIATE) return `negotiate first: execute ${NEGOTIATE}`;
    if (isNegotiated && command === NEGOTIATE) return "the negotiation is over";
    return undefined;
  };

  return {
    name: "qmp",
    lineEnd: "\r\n",
    methods: byName([...own(), capabilities]),

    reader: (limit) => new JsonReader(limit),

    greeting: (daemon) => JSON.stringify({ QMP: { version: versionOf(daemon), capabilities: [] } }),

    read(message: unknown): Request | Fault {
      if (typeof message !== "object" || message === null || Array.isArray(message)) {
        return fault(undefined, invalidRequest("expected an object"));
      }
      const { execute, arguments: params = {}, id } = message as Record<string, unknown>;
      const wrongId = faultOfId(id);
      if (wrongId !== undefined) return fault(undefined, invalidRequest(`the member id ${wrongId}`));
      const wrong = faultOf(message, execute, params);
      if (wrong !== undefined) return fault(id, invalidRequest(wrong));
      const method = execute as string;
      const reason = refusal(method);
      if (reason !== undefined) {
        return fault(id, { code: 0, message: reason, data: { class: "MethodNotFound" } });
      }
      return { kind: "request", id, isAnswered: true, method, params };
    },

    answer: (id, result) => enclose('{"return":', result, `${idText(id)}}`),

    error(id, { message, data }) {
      const ours = (data as { class?: string } | undefined)?.class ?? "InternalError";
      const error = { class: CLASSES[ours] ?? "GenericError", desc: message, data };
      return `{"error":${JSON.stringify(error)}${idText(id)}}`;
    },

    event({ method, params: { timestamp, ...data } }: WireEvent) {
      return JSON.stringify({ event: method, data, timestamp });
    },
  };
}

function fault(id: unknown, error: JSONRPCError): Fault {
  return { kind: "fault", id, error };
}

function idText(id: unknown): string {
  return id === undefined ? "" : `,"id":${JSON.stringify(id)}`;
}

function faultOfId(id: unknown): string | undefined {
  if (weigh(id, ID_LIMIT) >= ID_LIMIT) return "is too large to be echoed: a number or a word will do";
  return holdsInexact(id) ? `may hold a number, ${INEXACT}` : undefined;
}

/** Whether a number would come back as another one, of what weighs little. */
function holdsInexact(value: unknown): boolean {
  if (typeof value === "number") return !isExact(value);
  return typeof value === "object" && value !== null && Object.values(value).some(holdsInexact);
}

function faultOf(message: object, execute: unknown, params: unknown): string | undefined {
  for (const name in message) {
    if (name === "exec-oob") return "out-of-band execution was not negotiated: use execute";
    if (!MEMBERS.includes(name)) return unknownMember(name, MEMBERS);
  }
  if (typeof execute !== "string") return "the member execute must be a string";
  if (typeof params !== "object" || params === null || Array.isArray(params)) {
    return "the member arguments must be an object";
  }
  return undefined;
}

function versionOf({ name, version }: DaemonInfo) {
  const [major = 0, minor = 0, micro = 0] = version.split(".").map(Number);
  return { qemu: { micro, minor, major }, package: `${name} ${version}` };
}

/** `negotiated` is called when it succeeds. */
function qmpCapabilities(negotiated: () => void): Method {
  return defineMethod({
    name: NEGOTIATE,
    role: "observe",
    summary: "Ends the negotiation: from now on commands are taken, and events sent.",
    params: () => z.strictObject({ enable: z.array(z.string()).max(16).optional() }),
    result: () => z.object({}),
    errors: ["LimitExceeded"],
    handler: ({ enable = [] }, { connection, events }) => {
      const [unknown] = enable;
      if (unknown !== undefined) throw invalidParams(`enable: there is no capability ${quote(unknown)}`);
      events.subscribe(connection, undefined);
      negotiated();
      return {};
    },
  });
}

const qmpVersion = () =>
  defineMethod({
    ...queryVersion,
    params: noParams,
    result: () =>
      z.object({
        qemu: z.object({ micro: z.int(), minor: z.int(), major: z.int() }),
        package: z.string(),
      }),
    handler: (_params, { daemon }) => versionOf(daemon),
  });

const qmpCommands = (): Method =>
  defineMethod({
    ...queryCommands,
    params: noParams,
    result: () => z.array(z.object({ name: z.string() })),
    handler: async (params, call) => {
      const { commands } = await queryCommands.handler(params, call);
      const names = new Set([...commands, ...own()].map(({ name }) => name));
      return Array.from(names, (name) => ({ name }));
    },
  });

const schemaOf = kept((methods) => qmpSchema(byName([...methods, ...own()]).values()));

const queryQmpSchema: Method = defineMethod({
  name: "query-qmp-schema",
  role: "observe",
  summary: "Every command and event with its types, in the form of QEMU's introspection.",
  params: noParams,
  result: () => z.array(z.record(z.string(), z.unknown())),
  errors: [],
  handler: (_params, { methods, slice }) => schemaOf(methods, slice),
});

/** What there is in this dialect alone, and what it words in its own way. */
const own = lazily((): readonly Method[] => [
  qmpCapabilities(() => {}),
  qmpVersion(),
  qmpCommands(),
  queryQmpSchema,
]);

/** Of two that share a name the later one counts. */
function byName(methods: readonly Method[]): Map<string, Method> {
  return new Map(methods.map((method) => [method.name, method]));
}
