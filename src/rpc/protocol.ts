/** What the greeting and query-version call the daemon. */
export const SERVICE = "iovad";

/** The version of the wire contract. It grows when a client that follows the contract could notice. */
export const PROTOCOL = 1;
