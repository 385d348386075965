import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import { type Account, Budget } from "../../src/rpc/budget.ts";

const limits = { ...DEFAULT_LIMITS, "max-buffered-per-uid": 100, "max-buffered": 250 };

/** A budget whose connections, by the order of their opening, are told why they were cut off. */
function setUp() {
  const budget = new Budget(limits);
  const reasons: (string | undefined)[] = [];
  const open = (uid: number): Account => {
    const number = reasons.push(undefined) - 1;
    return budget.open(uid, (reason) => {
      reasons[number] = String((reason.data as { limit: string }).limit);
    });
  };
  return { budget, open, reasons };
}

describe("Budget", () => {
  it("cuts off the connection with most of a user that has too much, whoever made it so", () => {
    const { budget, open, reasons } = setUp();
    const [most, last] = [open(1), open(1)];
    most.add(60);
    last.add(40);
    expect(reasons).toEqual([undefined, undefined]);
    last.add(1);
    expect(reasons).toEqual(["max-buffered-per-uid", undefined]);
    expect([budget.total, most.bytes, last.bytes]).toEqual([41, 0, 41]);
  });

  it("cuts off the user with most when all have too much", () => {
    const { budget, open, reasons } = setUp();
    for (const [uid, bytes] of [
      [1, 90],
      [2, 95],
      [3, 60],
      [4, 10],
    ] as const) {
      open(uid).add(bytes);
    }
    expect(reasons).toEqual([undefined, "max-buffered", undefined, undefined]);
    expect(budget.total).toBe(160);
  });

  it("counts nothing of a connection that is over", () => {
    const { budget, open, reasons } = setUp();
    const account = open(1);
    account.add(50);
    account.close();
    account.add(-50);
    account.add(1000);
    expect([budget.total, ...reasons]).toEqual([0, undefined]);
  });

  it("holds with limits that were lowered meanwhile, at the next byte", () => {
    const changing = { ...limits };
    const budget = new Budget(changing);
    const cutOff: number[] = [];
    const accounts = [30, 20].map((bytes, index) => {
      const account = budget.open(1, () => cutOff.push(index));
      account.add(bytes);
      return account;
    });
    changing["max-buffered-per-uid"] = 25;
    accounts[1]?.add(1);
    expect(cutOff).toEqual([0]);
  });

  it("cuts off the user that came first of two with as much", () => {
    const { budget, open, reasons } = setUp();
    const accounts = [open(0), open(1), open(2)];
    for (const n of [1, 0, 2]) accounts[n]?.add(n === 2 ? 60 : 95);
    accounts[2]?.add(1);
    expect(reasons.map((reason) => reason ?? null)).toEqual(["max-buffered", null, null]);
    expect(budget.total).toBe(95 + 61);
  });

  it("cuts off whom a list of all connections would have it cut off", () => {
    const step = fc.record({ of: fc.nat(7), bytes: fc.integer({ min: -60, max: 120 }), ends: fc.nat(9) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { budget, open, reasons } = setUp();
        const accounts = Array.from({ length: 8 }, (_, number) => open(number % 3));
        const model = accounts.map((_, number) => ({ number, uid: number % 3, bytes: 0, isOpen: true }));
        const sum = (list: typeof model) => list.reduce((all, { bytes }) => all + bytes, 0);
        const ofUser = (uid: number) => model.filter((each) => each.isOpen && each.uid === uid);
        const cutOff = (uid: number) => {
          const largest = ofUser(uid).sort((a, b) => b.bytes - a.bytes)[0];
          if (largest) Object.assign(largest, { bytes: 0, isOpen: false });
        };
        for (const { of, bytes, ends } of steps) {
          const [account, mine] = [accounts[of], model[of]];
          if (!account || !mine) continue;
          if (ends === 0) {
            account.close();
            Object.assign(mine, { bytes: 0, isOpen: false });
            continue;
          }
          const by = Math.max(bytes, -mine.bytes);
          account.add(by);
          if (!mine.isOpen) continue;
          mine.bytes += by;
          if (by > 0) while (sum(ofUser(mine.uid)) > 100) cutOff(mine.uid);
          while (by > 0 && sum(model) > 250) {
            cutOff([0, 1, 2].sort((a, b) => sum(ofUser(b)) - sum(ofUser(a)))[0] as number);
          }
          expect(budget.total).toBe(sum(model));
          expect(sum(model)).toBeLessThanOrEqual(250);
        }
        for (const { number, isOpen, bytes } of model) {
          if (isOpen) expect([reasons[number], accounts[number]?.bytes]).toEqual([undefined, bytes]);
        }
      }),
    );
  });
});
