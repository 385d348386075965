import { describe, expect, it } from "vitest";
import { accountsOf, parseAccounts, resolveAccount } from "../../src/access/accounts.ts";

const GROUP = `root:x:0:
kvm:x:107:alice,bob
# a comment
12:x:4000:

broken
:x:5:
negative:x:-1:
huge:x:4294967295:
kvm:x:999:
`;

describe("parseAccounts", () => {
  it("reads names and ids, the first of a name, and leaves out what is no entry", () => {
    expect([...parseAccounts(GROUP)]).toEqual([
      ["root", 0],
      ["kvm", 107],
      ["12", 4000],
    ]);
  });
});

describe("resolveAccount", () => {
  const ids = parseAccounts(GROUP);
  const resolve = (given: string | number) => resolveAccount(given, (name) => ids.get(name));

  it.each([
    ["kvm", 107],
    ["107", 107],
    [107, 107],
    [0, 0],
    ["12", 4000],
    [12, 12],
    [4294967294, 4294967294],
  ])("%j is %j", (given, id) => {
    expect(resolve(given)).toBe(id);
  });

  it.each(["nobody", "", "-1", "0x10", "1.5", "1e3", " 1", 4294967295, -1, 1.5, Number.NaN])(
    "%j is nobody",
    (given) => {
      expect(resolve(given)).toBe(undefined);
    },
  );
});

it("root is in the files of this machine", () => {
  expect(accountsOf("/etc/passwd")("root")).toBe(0);
  expect(accountsOf("/etc/group")("root")).toBe(0);
});

it("a file that is not there has no names, and one that cannot be read is no such file", () => {
  expect(accountsOf("/etc/no-such-file" as "/etc/group")("root")).toBe(undefined);
  expect(() => accountsOf("/etc" as "/etc/group")("root")).toThrow("EISDIR");
});
