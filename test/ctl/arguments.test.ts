import { expect, it } from "vitest";
import { findCommand, parseArguments } from "../../src/ctl/arguments.ts";
import { parseRange } from "../../src/ctl/ranges.ts";

it.each([
  [["-s", "devices", "status"], "status", ["-s", "devices"]],
  [
    ["--socket=x", "-j", "map", "--svg", "f", "83:00.0"],
    "map",
    ["--socket=x", "-j", "--svg", "f", "83:00.0"],
  ],
  [["--json", "short", "-H", "a@b", "watch"], "watch", ["--json", "short", "-H", "a@b"]],
  [["--help"], undefined, ["--help"]],
])("the command in %j is %s", (args, command, rest) => {
  expect(findCommand(args)).toEqual({ command, rest });
});

it("an errno is a value, and no option", () => {
  const own = { message: { type: "string", about: "" }, all: { type: "boolean", about: "" } } as const;
  expect(parseArguments(["--message", "-22", "84:00.0"], own)).toMatchObject({
    ...{ values: { message: "-22" }, args: ["84:00.0"] },
  });
  expect(parseArguments(["--message", "-EINVAL"], own).values).toMatchObject({ message: "-EINVAL" });
  for (const line of [["--all", "-22"], ["-22"], ["--message", "--all"]])
    expect(() => parseArguments(line, own)).toThrow();
});

it.each([
  ["0xfee00000-0xfeefffff", "0xfee00000", "0xfeefffff"],
  ["0x0+2G", "0x0", "0x7fffffff"],
  ["0x1000+0x1000", "0x1000", "0x1fff"],
  ["0xFEE00000", "0xfee00000", "0xfee00000"],
  ["0x0-0xffffffffffffffff", "0x0", "0xffffffffffffffff"],
])("the range %s is read", (text, start, last) => {
  expect(parseRange(text)).toEqual({ start, last });
});

it.each([
  ["", "no range"],
  ["12-34", "no range"],
  ["0x2-0x1", "starts above its last"],
  ["0x0+0K", "the size"],
  ["0x0+12", "the size"],
  ["0xffffffffffffffff+2K", "beyond 64 bits"],
])("the range %j is refused", (text, why) => {
  expect(() => parseRange(text)).toThrow(why);
});
