/** What it is, and the text. */
type Case = [what: string, text: string];

export function hostileLines(devices: readonly string[], bytes?: number): Case[];
export function hostileMessages(devices: readonly string[], bytes?: number): Case[];
export const QMP_NEGOTIATION: string;
