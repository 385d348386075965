/** An event as subscribers get it. */
export interface WireEvent {
  readonly method: string;
  /** With its sequence and timestamp. */
  readonly params: Readonly<Record<string, unknown>> & {
    readonly timestamp: { readonly seconds: number; readonly microseconds: number };
  };
  /** The params as JSON. */
  readonly text: string;
}

/** How events look on the wire of a connection. */
export interface EventWording {
  /** Connections of one name write events alike. */
  readonly name: string;
  /** What stands behind every message. */
  readonly lineEnd: "\n" | "\r\n";
  event(event: WireEvent): string;
}
