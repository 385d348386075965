import { expect, it } from "vitest";
import type { Method } from "../../src/rpc/method.ts";
import { METHODS } from "../../src/rpc/methods/index.ts";
import { parseParams } from "../../src/rpc/params.ts";
import { TimeSlices } from "../../src/rpc/time-slices.ts";

/** Values of every kind, none of which is right everywhere. */
const VALUES = [
  0,
  -1,
  1.5,
  1e300,
  true,
  null,
  "",
  "x",
  "y".repeat(5000),
  [],
  ["x"],
  [3],
  [{}],
  {},
  { x: 1 },
  { start: 3 },
];

/** zod's own words begin so. */
const ZODS =
  /Invalid (input|option|string|format|key|element)|Too (small|big)|received|expected (string|number|boolean|object|array|int|record)\b|Unrecognized/;

async function faultOf(method: Method, params: object): Promise<string | undefined> {
  try {
    await parseParams(method.params, params, new TimeSlices().slice(0));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

it("no wrong value of any member of any method is answered in the words of a library", async () => {
  const messages: string[] = [];
  for (const method of METHODS as readonly Method[]) {
    for (const name of Object.keys(method.params.shape)) {
      for (const value of VALUES) messages.push((await faultOf(method, { [name]: value })) ?? "");
    }
    for (const name of ["machine", "since"].filter((name) => name in method.params.shape)) {
      for (const value of VALUES) {
        const machine = {
          type: "q35",
          memory: value,
          slots: value,
          cxl: value,
          "phys-bits": value,
          version: value,
        };
        const since = { instance: value, sequence: value };
        messages.push((await faultOf(method, { [name]: name === "since" ? since : machine })) ?? "");
      }
    }
  }
  const faults = messages.filter((message) => message !== "");
  expect(faults.length).toBeGreaterThan(300);
  expect(faults.filter((message) => ZODS.test(message))).toEqual([]);
});

it.each([
  ["query-devices", { group: "x" }, "group: expected a number"],
  ["query-devices", { users: "yes" }, "users: expected true or false"],
  [
    "query-devices",
    { state: "hold" },
    "state: expected one of observed, held, attached, handed-over; did you mean held?",
  ],
  ["query-events", { limit: 0 }, "limit: expected more than 0"],
  ["query-events", { events: ["DEVICE_HOLD"] }, "did you mean DEVICE_HELD?"],
  [
    "subscribe",
    { since: { instnace: "x", sequence: 1 } },
    'since: unknown member "instnace"; did you mean instance?',
  ],
  ["intersect-ranges", { lists: [[{ strat: 1, last: 2 }]] }, 'unknown member "strat"; did you mean start?'],
  [
    "invert-ranges",
    { ranges: [], within: { start: 1, lsat: 2 } },
    'unknown member "lsat"; did you mean last?',
  ],
  [
    "check-layout",
    { layout: [{ name: "x", start: 1, szie: 2 }] },
    'unknown member "szie"; did you mean size?',
  ],
  ["subscribe", { since: { instance: "x", sequence: -1 } }, "since.sequence: expected at least 0"],
])("%s with %j says %s", async (name, params, words) => {
  const method = METHODS.find((each) => each.name === name) as Method;
  expect(await faultOf(method, params)).toContain(words);
});
