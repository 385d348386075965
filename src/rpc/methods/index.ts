import type { Method } from "../method.ts";
import { allowRanges, createIoas, destroyIoas, queryAllowedRanges, queryIoas } from "./address-spaces.ts";
import { intersectRanges, invertRanges } from "./arithmetic.ts";
import { createContext, destroyContext, queryContexts, resumeContext } from "./contexts.ts";
import { attachDevice, detachDevice, holdDevice, probeDevice, releaseDevice } from "./devices.ts";
import { queryEvents, subscribe, unsubscribe } from "./events.ts";
import { handOverContext, handOverDevice } from "./hand-over.ts";
import { queryDevices, queryReservedRanges } from "./host.ts";
import { discover, queryCommands, querySchema, queryVersion } from "./introspection.ts";
import { checkLayoutMethod } from "./layout.ts";
import { queryMetrics } from "./metrics.ts";
import { explainRange, findFreeRange, predictAllowedRanges } from "./planning.ts";
import { queryHostProfile } from "./profile.ts";
import { queryStatus } from "./status.ts";

/** Every method of the daemon, by section: the one table that the schemas and the documentation come from. */
export const METHODS = [
  queryVersion,
  queryCommands,
  querySchema,
  discover,
  queryStatus,
  queryMetrics,

  queryDevices,
  queryReservedRanges,

  queryContexts,
  queryIoas,
  queryAllowedRanges,
  createContext,
  resumeContext,
  destroyContext,
  createIoas,
  destroyIoas,
  allowRanges,

  probeDevice,
  holdDevice,
  releaseDevice,
  attachDevice,
  detachDevice,
  handOverDevice,
  handOverContext,

  predictAllowedRanges,
  checkLayoutMethod,
  explainRange,
  findFreeRange,
  intersectRanges,
  invertRanges,
  queryHostProfile,

  subscribe,
  unsubscribe,
  queryEvents,
] as const satisfies readonly Method[];
