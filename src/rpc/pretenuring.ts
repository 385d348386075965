import { setFlagsFromString } from "node:v8";

/**
 * Has V8 allocate everything young. Serving a long pipeline, it comes to believe that what json-rpc-2.0 makes for a
 * request lives long, and allocates that old at once; from there it keeps whatever it points to alive until the next
 * full collection. Measured on Node 20: 4.1 µs a request with it, 2.2 µs without. A matter of speed only, and of the
 * whole process.
 */
export function disablePretenuring(): void {
  setFlagsFromString("--no-allocation-site-pretenuring");
}
