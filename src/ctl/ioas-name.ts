import { UsageError } from "../command-line.ts";

/** An IO address space, as answers and requests name it. */
export interface IoasName {
  readonly context?: string;
  readonly ioas: number;
}

const FORM = /^(?:([A-Za-z0-9][A-Za-z0-9._-]{0,63})\/)?([1-9]\d{0,9})$/;

/** Whether an argument is an IO address space, and no device. */
export function isIoasName(text: string): boolean {
  return FORM.test(text);
}

/** `[CONTEXT/]IOAS`. @throws UsageError */
export function parseIoasName(text: string): IoasName {
  const [, context, ioas] = FORM.exec(text) ?? [];
  if (ioas === undefined) {
    throw new UsageError(
      `"${text}" is no IO address space: write its number, or CONTEXT/NUMBER (iovactl contexts)`,
    );
  }
  return { ...(context === undefined ? {} : { context }), ioas: Number(ioas) };
}
