import { describe, expect, it } from "vitest";
import {
  type AccessRules,
  accessPolicy,
  hasRules,
  mayChange,
  type Peer,
  suffices,
} from "../../src/access/policy.ts";

const DAEMON = 990;
const SOCKET_GROUP = 991;
const NO_RULES: AccessRules = { controlUsers: [], controlGroups: [], observeUsers: [], observeGroups: [] };

function roleOf(peer: Partial<Peer>, rules: Partial<AccessRules> = {}) {
  const policy = accessPolicy({ ...NO_RULES, ...rules }, { uid: DAEMON, socketGroup: () => SOCKET_GROUP });
  return policy({ pid: 1, uid: 5000, gid: 5000, groups: [], ...peer });
}

describe("without rules", () => {
  it.each([
    ["root", { uid: 0 }, "control"],
    ["the daemon's own user", { uid: DAEMON }, "control"],
    ["a member of the socket's group by its gid", { gid: SOCKET_GROUP }, "observe"],
    ["a member of the socket's group by a supplementary group", { groups: [7, SOCKET_GROUP] }, "observe"],
    ["anybody else", {}, null],
    ["a member of root's group", { gid: 0, groups: [0] }, null],
  ] as const)("the role of %s", (_who, peer, role) => {
    expect(roleOf(peer)).toBe(role);
  });

  it("nobody observes a socket that is gone", () => {
    const policy = accessPolicy(NO_RULES, { uid: DAEMON, socketGroup: () => undefined });
    expect(policy({ pid: 1, uid: 5000, gid: SOCKET_GROUP, groups: [] })).toBe(null);
  });

  it("it is asked once which group a socket has, however many the peer has", () => {
    let asked = 0;
    const socketGroup = () => {
      asked++;
      return SOCKET_GROUP;
    };
    const policy = accessPolicy(NO_RULES, { uid: DAEMON, socketGroup });
    expect(policy({ pid: 1, uid: 5000, gid: 5000, groups: new Uint32Array(65_536) })).toBe(null);
    expect(asked).toBe(1);
  });

  it("the socket's group is the one of the moment", () => {
    let group = 1;
    const policy = accessPolicy(NO_RULES, { uid: DAEMON, socketGroup: () => group });
    const peer = { pid: 1, uid: 5000, gid: 2, groups: [] };
    expect(policy(peer)).toBe(null);
    group = 2;
    expect(policy(peer)).toBe("observe");
  });
});

describe("a rule", () => {
  it.each([
    ["controlUsers", { uid: 42 }, "control"],
    ["controlGroups", { gid: 42 }, "control"],
    ["controlGroups", { groups: [1, 42] }, "control"],
    ["observeUsers", { uid: 42 }, "observe"],
    ["observeGroups", { gid: 42 }, "observe"],
    ["observeGroups", { groups: [1, 42] }, "observe"],
  ] as const)("of %s gives %j its role, and nobody else", (rule, peer, role) => {
    expect(roleOf(peer, { [rule]: [42] })).toBe(role);
    expect(roleOf({ uid: 43, gid: 43, groups: [43] }, { [rule]: [42] })).toBe(null);
  });

  it("of users does not mean the group of that number, nor the other way round", () => {
    expect(roleOf({ gid: 42, groups: [42] }, { controlUsers: [42], observeUsers: [42] })).toBe(null);
    expect(roleOf({ uid: 42 }, { controlGroups: [42], observeGroups: [42] })).toBe(null);
  });

  it("that gives control wins over one that lets observe", () => {
    expect(roleOf({ uid: 42, gid: 43 }, { controlUsers: [42], observeGroups: [43] })).toBe("control");
  });

  it("about who observes takes the place of the socket's group", () => {
    expect(roleOf({ gid: SOCKET_GROUP }, { observeUsers: [42] })).toBe(null);
    expect(roleOf({ gid: SOCKET_GROUP }, { observeGroups: [42] })).toBe(null);
  });

  it("about who controls leaves the socket's group observing", () => {
    expect(roleOf({ gid: SOCKET_GROUP }, { controlUsers: [42], controlGroups: [42] })).toBe("observe");
  });

  it("takes control from neither root nor the daemon's own user", () => {
    const rules = { controlUsers: [42], observeUsers: [0, DAEMON] };
    expect(roleOf({ uid: 0 }, rules)).toBe("control");
    expect(roleOf({ uid: DAEMON }, rules)).toBe("control");
  });
});

it("control suffices for everything, observe for what observes", () => {
  expect(suffices("control", "control")).toBe(true);
  expect(suffices("control", "observe")).toBe(true);
  expect(suffices("observe", "observe")).toBe(true);
  expect(suffices("observe", "control")).toBe(false);
});

it("root and the owner may change an object, and everybody what is nobody's", () => {
  expect(mayChange(0, 1000)).toBe(true);
  expect(mayChange(1000, 1000)).toBe(true);
  expect(mayChange(1001, 1000)).toBe(false);
  expect(mayChange(1001, 0)).toBe(false);
  expect(mayChange(1001, null)).toBe(true);
});

it("there are rules as soon as one of them names one account", () => {
  expect(hasRules(NO_RULES)).toBe(false);
  for (const rule of Object.keys(NO_RULES)) expect(hasRules({ ...NO_RULES, [rule]: [42] })).toBe(true);
});
