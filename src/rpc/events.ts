import type { z } from "zod";

/** One event: a notification that subscribers get. */
export interface EventDefinition {
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  readonly params: z.ZodType;
}

/** Every event that the daemon sends. */
export const EVENTS: readonly EventDefinition[] = [];
