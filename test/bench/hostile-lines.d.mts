/** What it is, and what makes the text. */
type Case = [what: string, make: () => string];

export function hostileLines(devices: readonly string[], bytes?: number): Case[];
export function hostileMessages(devices: readonly string[], bytes?: number): Case[];
export const QMP_NEGOTIATION: string;
