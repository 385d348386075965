import fc from "fast-check";
import { expect, it } from "vitest";
import { jsonRpc } from "../../src/rpc/dialects/json-rpc.ts";
import { qmp } from "../../src/rpc/dialects/qmp.ts";
import { LastRequest } from "../../src/rpc/last-request.ts";
import { whole } from "../../src/rpc/text.ts";
import { runs } from "../runs.ts";
import { bystander, dispatcherOf, stubMethods } from "./stub.ts";

/** What each of the lines is answered, one after the other, by a connection that has seen those before, or by new ones. */
async function answers(lines: readonly string[], dialect = () => jsonRpc, isNew = false): Promise<unknown[]> {
  const rpc = dispatcherOf(stubMethods().methods, () => {});
  const before = bystander();
  const open = () => ({
    ...before,
    connection: { ...before.connection, dialect: dialect() },
    last: new LastRequest(),
  });
  let call = open();
  const all: unknown[] = [];
  for (const line of lines) {
    if (isNew) call = open();
    const text = await rpc.answer(line, call, () => true);
    all.push(text && JSON.parse(whole(text)));
  }
  return all;
}

/** What may stand where a number does. */
const numbers = fc.oneof(
  fc.constantFrom(
    "0",
    "7",
    "00",
    "07",
    "10",
    "-1",
    "1.5",
    "1e3",
    "1E1",
    "12345678901234567890",
    "999999999999999",
  ),
  fc.constantFrom(
    "9007199254740993",
    '"7"',
    '"id"',
    "null",
    "{}",
    "",
    "7 ",
    " 7",
    "7,",
    "7}",
    '7,"id":8',
    "x",
  ),
  fc.nat(99).map(String),
);
const PLACE = "#";
const values = fc.constantFrom(PLACE, PLACE, '"id"', `{"id":${PLACE}}`, "[1]", '"\\u0069d"', '"\\"id\\":3"');
const members = [
  fc.constant('"jsonrpc":"2.0"'),
  fc.constantFrom("echo", "count", "refuse", "nothing").map((name) => `"method":"${name}"`),
  fc.constantFrom(undefined, `"id":${PLACE}`, `"id" : ${PLACE}`, `"i\\u0064":3`, '"id":3', `"ID":${PLACE}`),
  fc.option(
    fc.tuple(fc.constantFrom("value", "id"), values).map(([name, value]) => `"params":{"${name}":${value}}`),
    { nil: undefined },
  ),
];
/** The same words, again and again, but for one place or two. */
const lines = fc
  .tuple(
    fc.tuple(...members).chain((all) => fc.shuffledSubarray(all, { minLength: all.length })),
    fc.array(numbers, { minLength: 1, maxLength: 5 }),
  )
  .map(([all, [first = "", ...others]]) =>
    [first, first, ...others].map((number) =>
      `{${all.filter((each) => each !== undefined).join(",")}}`.replaceAll(PLACE, number),
    ),
  );

it("a line is answered as it is on a new connection, whatever came before", async () => {
  await fc.assert(
    fc.asyncProperty(lines, async (some) => {
      expect(await answers(some)).toEqual(await answers(some, () => jsonRpc, true));
    }),
    { numRuns: runs(1000) },
  );
});

it("the same question with another number has another id, and other params are other ones", async () => {
  const line = (id: number | string, value: number) =>
    `{"jsonrpc":"2.0","id":${id},"method":"echo","params":{"value":${value}}}`;
  const asked = [line(1, 5), line(2, 5), line(3, 5), line(3, 6), line('"3"', 5), line(40, 5), line(41, 5)];
  const told = (await answers(asked)) as { id: unknown; result: unknown }[];
  expect(told.map(({ id, result }) => [id, result])).toEqual([
    ...[1, 2, 3].map((id) => [id, { value: 5 }]),
    [3, { value: 6 }],
    ...["3", 40, 41].map((id) => [id, { value: 5 }]),
  ]);
});

it("what a dialect's own commands have changed holds for the same words, too", async () => {
  const negotiate = (id: number) => `{"execute":"qmp_capabilities","id":${id}}`;
  const dialect = qmp();
  const [first, second, third] = await answers([1, 2, 3].map(negotiate), () => dialect);
  expect(first).toEqual({ return: {}, id: 1 });
  expect(second).toMatchObject({ error: { class: "CommandNotFound" }, id: 2 });
  expect(third).toMatchObject({ error: { class: "CommandNotFound" }, id: 3 });
});
