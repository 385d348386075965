/**
 * How long a context lives: until somebody destroys it, for as long as the connection that made it, or until the devices
 * that were handed over with it are free again.
 */
export type Lease = "persistent" | "connection" | "handed-over";
