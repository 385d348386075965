/** What a request asks for, as far as anybody here wants to know. */
export interface HttpRequest {
  readonly method: string;
  readonly target: string;
  /** All of that name, as one. */
  readonly accept: string;
}

export interface HttpResponse {
  readonly status: keyof typeof REASONS;
  readonly type: string;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const REASONS = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  431: "Request Header Fields Too Large",
} as const;

/** Where the head of a request ends; also with LF alone (RFC 9112, 2.2). */
const END = /\r?\n\r?\n/;

/** The head of the first request in `text`, without its end; undefined while that has not come. */
export function headOf(text: string): string | undefined {
  // An empty line or two may come before (RFC 9112, 2.2).
  const begun = text.trimStart();
  const end = begun.search(END);
  return end === -1 ? undefined : begun.slice(0, end);
}

/** Undefined when it is no request of HTTP/1. */
export function requestOf(head: string): HttpRequest | undefined {
  const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.\d\r?(?:\n|$)/.exec(head) ?? [];
  if (method === undefined || target === undefined) return undefined;
  const accept = Array.from(head.matchAll(/^accept:(.*)$/gim), ([, value]) => value).join();
  return { method, target, accept };
}

/** After which the connection ends. `isWhole`: false for the head alone. */
export function responseText({ status, type, text, headers = {} }: HttpResponse, isWhole: boolean): string {
  const all = {
    "Content-Type": type,
    "Content-Length": Buffer.byteLength(text),
    ...headers,
    Date: new Date().toUTCString(),
    Connection: "close",
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${REASONS[status]}\r\n${lines.join("")}\r\n${isWhole ? text : ""}`;
}
