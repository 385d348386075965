import type { Method } from "../method.ts";
import {
  allowRanges,
  createContext,
  createIoas,
  destroyContext,
  destroyIoas,
  queryAllowedRanges,
  queryContexts,
  queryIoas,
} from "./address-spaces.ts";
import { attachDevice, detachDevice, holdDevice, probeDevice, releaseDevice } from "./devices.ts";
import { queryDevices, queryReservedRanges } from "./host.ts";
import { introspection, queryVersion } from "./introspection.ts";
import { queryStatus } from "./status.ts";

/** Every method of the daemon, by section: the one table that the schemas and the documentation come from. */
export const METHODS: readonly Method[] = [
  queryVersion,
  ...introspection(() => METHODS),
  queryStatus,

  queryDevices,
  queryReservedRanges,

  queryContexts,
  queryIoas,
  queryAllowedRanges,
  createContext,
  destroyContext,
  createIoas,
  destroyIoas,
  allowRanges,

  probeDevice,
  holdDevice,
  releaseDevice,
  attachDevice,
  detachDevice,
];
