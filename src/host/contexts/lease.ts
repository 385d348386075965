/** How long a context lives: until somebody destroys it, or for as long as the connection that made it. */
export type Lease = "persistent" | "connection";
