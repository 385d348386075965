import { UsageError } from "../command-line.ts";

/** A number of an event, or of events. @throws UsageError */
export function sequenceNumber(option: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new UsageError(`${option} takes a number, not "${text}"`);
}
