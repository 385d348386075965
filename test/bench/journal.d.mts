import type { Kernel } from "../../src/kernel/kernel.ts";

/** Microseconds that an attach and a detach take. */
export interface JournalCost {
  readonly without: number;
  readonly kept: number;
  readonly ratio: number;
}

export function benchJournal(
  kernel: Kernel,
  device: string,
  how: { readonly blocks: number; readonly pairs: number },
): Promise<JournalCost>;
export function inWords(cost: JournalCost): string;
