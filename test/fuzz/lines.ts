import fc from "fast-check";
import { fromSchema, type Schema } from "./arbitrary.ts";

/** The daemon's own description of its methods, as query-schema gives it. */
export type Methods = Record<string, { params: Schema }>;

const ID = fc.oneof(
  fc.nat(1000),
  fc.constantFrom<unknown>("a", "", null, -1, 1.5, 2 ** 60, {}, [], true, undefined),
);

function request(methods: Methods, known: readonly string[]): fc.Arbitrary<object> {
  const calls = Object.entries(methods).map(([method, { params }]) =>
    fc.record({
      jsonrpc: fc.constant("2.0"),
      id: ID,
      method: fc.constant(method),
      params: fromSchema(params, known),
    }),
  );
  const odd = fc.record(
    {
      jsonrpc: fc.constantFrom<unknown>("2.0", "2.0", "1.0", 2, null),
      id: ID,
      method: fc.constantFrom<unknown>(
        "query-version",
        "nothing",
        "",
        "rpc.x",
        1,
        null,
        "__proto__",
        "toString",
      ),
      params: fc.constantFrom<unknown>({}, [], null, "x", [1], undefined),
    },
    { requiredKeys: [] },
  );
  return fc.oneof({ weight: 9, arbitrary: fc.oneof(...calls) }, { weight: 1, arbitrary: odd });
}

/** A message of QMP's dialect for one of JSON-RPC's. */
export function inQmp(message: object): object {
  const { method, params, id } = message as { method?: unknown; params?: unknown; id?: unknown };
  return { execute: method, arguments: params, id };
}

/** A line with some bytes changed, cut out or put in; never with a line break, so that it stays one line. */
function damage(line: Buffer, edits: readonly [at: number, kind: number, byte: number][]): Buffer {
  let bytes = [...line];
  for (const [at, kind, byte] of edits) {
    const place = bytes.length === 0 ? 0 : at % bytes.length;
    if (kind === 0) bytes[place] = byte;
    else if (kind === 1) bytes.splice(place, 1 + (byte % 8));
    else if (kind === 2) bytes.splice(place, 0, byte);
    else bytes = bytes.slice(0, place);
  }
  return Buffer.from(bytes.filter((byte) => byte !== 10));
}

/** One line, without its end: a request, good or bad, a batch, a damaged line, nesting, or noise. */
export function fuzzedLine(
  methods: Methods,
  known: readonly string[],
  worded: (message: object) => object = (message) => message,
): fc.Arbitrary<Buffer> {
  const one = request(methods, known).map(worded);
  const text = fc
    .oneof({ weight: 8, arbitrary: one }, { weight: 1, arbitrary: fc.array(one, { maxLength: 4 }) })
    .map((message) => Buffer.from(JSON.stringify(message)));
  const edit = fc.tuple(fc.nat(2000), fc.nat(3), fc.nat(255));
  return fc.oneof(
    { weight: 12, arbitrary: text },
    {
      weight: 4,
      arbitrary: fc.tuple(text, fc.array(edit, { minLength: 1, maxLength: 4 })).map(([l, e]) => damage(l, e)),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }).map((noise) => damage(Buffer.from(noise), [])) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom("[", '{"a":', '[{"params":'), fc.nat(3000))
        .map(([open, depth]) => Buffer.from(open.repeat(depth))),
    },
  );
}
