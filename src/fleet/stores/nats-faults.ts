import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";
import { StoreError } from "./store.ts";

/** A put where no stream listens is taken by the client for a server without JetStream. */
export function isNoBucket(error: unknown): boolean {
  const { name, message } = error as Error;
  if (error instanceof JetStreamApiError) return error.code === JetStreamApiCodes.StreamNotFound;
  return (
    name === "NoRespondersError" || /stream not found|no responders|jetstream is not enabled/i.test(message)
  );
}

export function isTimeout(error: unknown): boolean {
  return (error as Error).name === "TimeoutError" || /timeout/i.test((error as Error).message);
}

/** For what may be asked of a bucket that nobody has made yet. */
export function unlessNoBucket(error: unknown): null {
  if (!isNoBucket(error)) throw error;
  return null;
}

/** A fault of the client's or the server's, for people. */
export function saidOf(error: unknown, place: string): StoreError {
  if (error instanceof StoreError) return error;
  if (isNoBucket(error)) {
    return new StoreError(`no host has published at ${place}, or it has no JetStream (nats-server -js)`);
  }
  if (isTimeout(error)) return new StoreError(`${place} does not answer`);
  return new StoreError(`${place}: ${(error as Error).message}`);
}
