import * as z from "zod";
import { DEFAULT_CONTEXT } from "../../host/contexts/contexts.ts";
import { invalidParams } from "../errors.ts";
import { contextName } from "../inputs.ts";
import { defineMethod, noParams } from "../method.ts";
import { lease, toWireContext, wireContext } from "../records.ts";
import { ownWholeContext } from "./ownership.ts";

export const queryContexts = defineMethod({
  name: "query-contexts",
  role: "observe",
  summary: "The open iommufd contexts, with what is in them.",
  params: noParams,
  result: () =>
    z.object({
      contexts: z.array(wireContext()),
    }),
  errors: [],
  handler: (_params, { host }) => ({ contexts: host.contextRecords().map(toWireContext) }),
});

export const createContext = defineMethod({
  name: "create-context",
  role: "control",
  summary: "Opens an iommufd context of its own, as one guest needs it.",
  params: () =>
    z.strictObject({
      context: contextName(),
      lease: lease().default("persistent").meta({
        description:
          "connection: the context is destroyed when the connection that made it ends; handed-over: when all devices that were handed over with it are free again",
      }),
      "rlimit-mode": z.boolean().default(false).meta({
        description:
          "Pinned memory counts towards RLIMIT_MEMLOCK of each process (IOMMU_OPTION_RLIMIT_MODE), not of all the user's together",
      }),
    }),
  result: () => z.object({ context: contextName() }),
  errors: ["AlreadyExists", "LimitExceeded", "NotSupported", "KernelError"],
  handler: ({ context: name, lease: chosen, "rlimit-mode": rlimitMode }, { host, connection }) => {
    const created = host.createContext(name, chosen, connection.peer.uid, rlimitMode);
    if (chosen === "connection") created.onEnd = connection.onClose(() => host.endLease(created));
    return { context: created.name };
  },
});

export const resumeContext = defineMethod({
  name: "resume-context",
  role: "control",
  summary:
    "Takes over the lease of a context whose connection has gone with a restart of the daemon: it then lasts as long as this connection.",
  params: () => z.strictObject({ context: contextName() }),
  result: () => z.object({ context: contextName() }),
  errors: ["ContextNotFound", "PermissionDenied"],
  handler: ({ context: name }, { host, connection }) => {
    const context = host.resumeContext(name, connection.peer.uid);
    context.onEnd = connection.onClose(() => host.endLease(context));
    return { context: name };
  },
});

export const destroyContext = defineMethod({
  name: "destroy-context",
  role: "control",
  summary: "Releases a context's devices and closes it.",
  params: () => z.strictObject({ context: contextName() }),
  result: () => z.object({}),
  errors: ["ContextNotFound", "PermissionDenied"],
  handler: async ({ context: name }, call) => {
    if (name === DEFAULT_CONTEXT) {
      throw invalidParams(
        'context: "default" stays as long as the daemon runs; release its devices and destroy its IOASes instead',
      );
    }
    ownWholeContext(name, call);
    await call.host.destroyContext(name, call.connection.peer.uid);
    return {};
  },
});
