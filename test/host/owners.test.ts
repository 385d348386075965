import { expect, it } from "vitest";
import { refuseBeyond } from "../../src/host/contexts/owners.ts";
import { HostError } from "../../src/host/errors.ts";
import { DEFAULT_LIMITS } from "../../src/limits.ts";

const LIMITS = { ...DEFAULT_LIMITS, "max-contexts": 2 };
const ask = (owned: (number | null)[], owner: number | null) => () =>
  refuseBeyond(LIMITS, "max-contexts", "contexts", owned, owner);

it("an owner may have as many as the limit says, and not one more", () => {
  expect(ask([], 1000)).not.toThrow();
  expect(ask([1000], 1000)).not.toThrow();
  expect(ask([1000, 1000], 1000)).toThrow(HostError);
  expect(ask([1000, 1000], 1000)).toThrow("uid 1000 has 2 contexts");
});

it("what others have, and what is nobody's, does not count", () => {
  expect(ask([1001, 1001, null, null, 1000], 1000)).not.toThrow();
});

it("nobody in particular is refused nothing", () => {
  expect(ask([null, null, null], null)).not.toThrow();
});
