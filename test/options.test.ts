import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { help } from "../src/help.ts";
import { DEFAULT_LIMITS, LIMITS, type LimitName } from "../src/limits.ts";
import { type Options, parseOptions, UsageError } from "../src/options.ts";
import { SETTINGS } from "../src/settings.ts";

const directory = mkdtempSync(join(tmpdir(), "iovad-options-"));
afterAll(() => rmSync(directory, { recursive: true }));

let files = 0;
function config(content: unknown): string {
  const path = join(directory, `config-${++files}.json`);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const parse = (...args: string[]) => parseOptions(args, {}, 0) as Options;

const NAMES = Object.keys(LIMITS) as LimitName[];

/** A value that is in the range of the limit, and not its default. */
const within = (name: LimitName) => LIMITS[name].min + 7;

/** The lines that `--check-config` has for a command line. */
function problems(...args: string[]): readonly string[] {
  try {
    expect(parseOptions([...args, "--check-config"], {}, 0)).toBe("check-config");
    return [];
  } catch (error) {
    if (error instanceof UsageError) return error.problems;
    throw error;
  }
}

describe("the command line", () => {
  it("leaves everything at its default when it says nothing", () => {
    expect(parse()).toEqual({
      socket: "/run/iovad/iovad.sock",
      logLevel: "info",
      leaseGrace: 30,
      access: { controlUsers: [], controlGroups: [], observeUsers: [], observeGroups: [] },
      limits: DEFAULT_LIMITS,
    });
  });

  it.each([
    ["an option that does not exist", ["--sokcet", "x"], "no option --sokcet; did you mean --socket?"],
    ["an option that is like none", ["--quux"], "Unknown option '--quux'; try --help"],
    ["an option without its value", ["--socket"], "--socket"],
    ["an argument that belongs to no option", ["now"], "now"],
    ["a log level that does not exist", ["--log-level", "loud"], "--log-level takes one of trace"],
    ["a request size that is no number", ["--max-request", "1MB"], "--max-request takes a whole number"],
    ["a request size too small to be useful", ["--max-request", "1"], "--max-request takes a whole number"],
    ["a negative number", ["--max-request", "-1"], "--max-request takes a whole number from 1024 to"],
    ["no connections", ["--max-connections", "0"], "--max-connections takes a whole number"],
    ["an ioctl of another driver", ["--resv-iova-ranges-ioctl", "0x5401"], "from 0x3b80"],
    [
      "the ioctl that starts dirty tracking",
      ["--resv-iova-ranges-ioctl", "0x3b8b"],
      "mainline Linux uses 0x3b8b",
    ],
    [
      "the ioctl of iommufd's self-test",
      ["--resv-iova-ranges-ioctl", "0x3ba0"],
      "mainline Linux uses 0x3ba0",
    ],
  ])("refuses %s with one line", (_what, args, message) => {
    expect(() => parse(...args)).toThrow(UsageError);
    expect(() => parse(...args)).toThrow(message);
    expect(() => parse(...args)).not.toThrow("\n");
  });

  it("takes users and groups by name and by number, as often as it likes", () => {
    const { access } = parse(
      ...["--control-user", "root", "--control-user", "1000", "--control-group", "7"],
      ...["--observe-user", "8", "--observe-group", "root", "--observe-group", "9"],
    );
    expect(access).toEqual({
      controlUsers: [0, 1000],
      controlGroups: [7],
      observeUsers: [8],
      observeGroups: [0, 9],
    });
  });

  it.each(NAMES)("sets --%s", (name) => {
    const { limits } = parse(`--${name}`, String(within(name)));
    expect(limits).toEqual({ ...DEFAULT_LIMITS, [name]: within(name) });
  });

  it.each(NAMES)("refuses a --%s that is no such number, and says the range", (name) => {
    for (const value of ["0", "-1", "1.5", "many", "1e3", "0x10", "99999999999", ""]) {
      expect(problems(`--${name}=${value}`)).toEqual([
        expect.stringMatching(new RegExp(`^--${name} takes a whole number from \\d+ to \\d+$`)),
      ]);
    }
  });

  it.each([
    [["--socket", "/a/s", "--qmp-socket", "/a/s"], "--qmp-socket and --socket are one path"],
    [["--socket", "/a/s", "--metrics-socket", "/a/../a/s"], "--metrics-socket and --socket are one path"],
    [["--qmp-socket", "s", "--metrics-socket", "./s"], "--metrics-socket and --qmp-socket are one path"],
    [["--qmp-socket", "/run/iovad/iovad.sock"], "--qmp-socket and --socket are one path"],
  ])("refuses one path for two sockets: %s", (args, message) => {
    expect(() => parse(...args)).toThrow(UsageError);
    expect(problems(...args)).toEqual([expect.stringContaining(message)]);
  });

  it("names everybody that does not exist", () => {
    expect(problems("--control-user", "nobody-at-all", "--observe-group", "no-such-group")).toEqual([
      '--control-user[0] names no user: "nobody-at-all" is not in /etc/passwd; a number needs no entry there',
      '--observe-group[0] names no group: "no-such-group" is not in /etc/group; a number needs no entry there',
    ]);
  });
});

describe("a config file", () => {
  it("may hold every option", () => {
    const path = config({
      socket: "/somewhere/s",
      simulate: "host.json",
      "log-level": "warn",
      "resv-iova-ranges-ioctl": "0x3b9f",
      "control-user": ["root", 1],
      "control-group": [2],
      "observe-user": ["3"],
      "observe-group": ["root"],
      ...Object.fromEntries(NAMES.map((name) => [name, within(name)])),
    });
    const options = parse("--config", path);
    expect(options).toMatchObject({
      socket: "/somewhere/s",
      simulate: "host.json",
      logLevel: "warn",
      resvIovaRangesIoctl: 0x3b9f,
      access: { controlUsers: [0, 1], controlGroups: [2], observeUsers: [3], observeGroups: [0] },
    });
    expect(options.limits).toEqual(Object.fromEntries(NAMES.map((name) => [name, within(name)])));
  });

  it("yields to the command line, option by option", () => {
    const path = config({ socket: "/file", "log-level": "warn", "control-user": [1, 2], "max-batch": 7 });
    expect(parse("--config", path, "--socket", "/line", "--control-user", "3")).toMatchObject({
      socket: "/line",
      logLevel: "warn",
      access: { controlUsers: [3] },
      limits: { ...DEFAULT_LIMITS, "max-batch": 7 },
    });
  });

  it("is told every error in it, with its path", () => {
    const path = config({
      sokcet: "/x",
      "log-level": "loud",
      "max-batch": "100",
      "max-contexts": 0,
      "control-user": "root",
      "control-group": ["root", "no-such-group", true],
      "observe-user": [-1],
      "resv-iova-ranges-ioctl": "0x3b8b",
    });
    expect(problems("--config", path).map((line) => line.replace(`${path}: `, ""))).toEqual([
      expect.stringMatching(/^log-level takes one of trace, debug/),
      expect.stringMatching(/^resv-iova-ranges-ioctl .*mainline Linux uses 0x3b8b/),
      "control-user takes an array of users",
      'control-group[1] names no group: "no-such-group" is not in /etc/group; a number needs no entry there',
      "control-group[2] takes the name or the number of a group",
      "observe-user[0] names no user: -1 is not in /etc/passwd; a number needs no entry there",
      "max-batch takes a whole number from 1 to 100000",
      "max-contexts takes a whole number from 1 to 1000000",
      'knows no "sokcet"',
    ]);
  });

  it("is told of an ioctl's number by an example that would do", () => {
    const [problem = ""] = problems("--config", config({ "resv-iova-ranges-ioctl": 0x3bb0 }));
    const example = /as in "(0x[0-9a-f]+)"/.exec(problem)?.[1] as string;
    expect(parse("--resv-iova-ranges-ioctl", example).resvIovaRangesIoctl).toBe(Number(example));
  });

  it("and the command line are checked together", () => {
    const path = config({ "max-batch": 0 });
    expect(problems("--config", path, "--max-contexts", "0")).toEqual([
      `${path}: max-batch takes a whole number from 1 to 100000`,
      "--max-contexts takes a whole number from 1 to 1000000",
    ]);
  });

  it.each([
    ["is missing", () => join(directory, "missing"), ": there is no such file"],
    ["is a directory", () => directory, "is no regular file"],
    ["is no JSON", () => config("{"), "JSON"],
    ["is empty", () => config(""), "JSON"],
    ["is an array", () => config([]), "takes an object"],
    ["is null", () => config("null"), "takes an object"],
  ])("that %s is one problem that names the file", (_what, path, message) => {
    const file = path();
    const [problem, ...more] = problems("--config", file);
    expect(problem).toContain(file);
    expect(problem).toContain(message);
    expect(more).toEqual([]);
  });

  it("with several errors is one line to a daemon that was to start", () => {
    const path = config({ "max-batch": 0, "max-contexts": 0 });
    expect(() => parse("--config", path)).toThrow(/^[^\n]*max-batch[^\n]*; [^\n]*max-contexts[^\n]*$/);
  });
});

it("the help has every option, and lines that fit a terminal of 100 columns", () => {
  for (const { name, value } of SETTINGS) expect(help()).toContain(`  --${name} ${value}`);
  expect(
    Math.max(
      ...help()
        .split("\n")
        .map((line) => line.length),
    ),
  ).toBeLessThanOrEqual(104);
});

it("what is taken without zod is what zod takes, and makes nothing of", () => {
  const quick = SETTINGS.filter(({ isRight }) => isRight);
  expect(quick.map(({ name }) => name)).toContain("socket");
  for (const { name, type, isRight } of quick) {
    for (const text of ["", "info", "INFO", "silent", "/a path", "0", "-", "ü\n"]) {
      const { success, data } = type().safeParse(text);
      expect({ name, text, success, data }).toEqual({
        ...{ name, text, success: isRight?.(text) },
        data: success ? text : undefined,
      });
    }
  }
});
