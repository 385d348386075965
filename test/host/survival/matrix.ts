import assert from "node:assert/strict";
import { afterAll, describe, it } from "vitest";
import { type FoldedEvent, fold } from "../../../src/client/fold.ts";
import { CONTROL_METHODS } from "../../daemon/doomed.ts";
import { CASES } from "./cases.ts";
import type { Player } from "./stage.ts";

/** Where processes of the daemon live and die, one after the other. */
export interface Ground {
  readonly kernel: string;
  /** The next process, with what the store holds. */
  next(): Promise<Player>;
  /** Resolves when nothing of the process is left that was killed, but what the store holds. */
  buried(): Promise<void>;
  /** What listeners have been told since the last time this was called. */
  heard(): readonly FoldedEvent[];
  /** Asserts that the kernel, and the store, have what the process's model says, and nothing else. */
  assertWhole(player: Player): Promise<void>;
  /** Asserts that nothing is open and nothing stored. */
  assertEmpty(player: Player): Promise<void>;
  /** Ends the process that lives, and lets go of what is stored. */
  end(): Promise<void>;
}

/** How much time a case has, in milliseconds, and at which of its steps it dies, instead of all. */
export interface Matrix {
  readonly timeout: number;
  readonly isDeadly?: (step: string, at: number) => boolean;
}

/** Every case, with a SIGKILL before and behind each of its system calls: what the next process makes of it. */
export function killInEveryCall(ground: Ground, { timeout, isDeadly = () => true }: Matrix): void {
  const calls: string[] = [];
  afterAll(async () => {
    await ground.end();
    console.log(`killed on ${ground.kernel}, in each call of\n${calls.join("\n")}`);
  });

  it("every method that controls is here", () => {
    const methods = new Set(CASES.map(({ name }) => name.split(/[, ]/)[0]));
    assert.deepEqual([...methods].sort(), [...CONTROL_METHODS].sort());
  });

  describe("killed before or behind whichever system call of", () => {
    it.for(CASES.map(({ name }, index) => ({ name, index })))(
      "$name: the next process has the state before or behind it, told to listeners, with nothing left over, and goes on",
      { timeout },
      async ({ name, index }, { signal }) => {
        let player = await ground.next();
        const furnished = async () => {
          await player.furnish(index);
          ground.heard();
          return player.snapshot();
        };
        const closed = async () => {
          await player.close();
          await ground.assertEmpty(player);
        };
        const before = await furnished();
        const steps = await player.perform(index);
        assert(steps !== "killed" && steps.length > 0);
        const after = await player.snapshot();
        await closed();
        await furnished();
        await player.performOther(index);
        const other = await player.snapshot();
        await closed();
        const possible = [before, after, other].map((state) => JSON.stringify(state));
        for (const [at, step] of steps.entries()) {
          // The next case has the ground to itself.
          signal.throwIfAborted();
          if (!isDeadly(step, at)) continue;
          assert.deepEqual(await furnished(), before);
          const known = await player.generations();
          assert.equal(await player.perform(index, at + 1), "killed", `not killed at ${step}`);
          await ground.buried();
          try {
            player = await ground.next();
            assert.deepEqual(await player.takeOver(), []);
            await ground.assertWhole(player);
            const state = await player.snapshot();
            assert(possible.includes(JSON.stringify(state)), `another state: ${JSON.stringify(state)}`);
            assert.deepEqual(ground.heard().reduce(fold, before), state);
            for (const [ioas, generation] of Object.entries(await player.generations()))
              assert(generation >= (known[ioas] ?? 0), `${ioas}: ${generation}`);
            await player.resume();
            if (JSON.stringify(state) === possible[0]) {
              await player.perform(index);
              // A look at the host may have come by, and seen what else may become of it.
              const done = await player.snapshot();
              if (JSON.stringify(done) !== possible[2]) assert.deepEqual(done, after);
            }
            await ground.assertWhole(player);
            await closed();
          } catch (error) {
            await ground.end();
            throw new Error(`killed at step ${at + 1}: ${step}`, { cause: error });
          }
        }
        calls.push(`${name}: ${steps.filter((step) => !step.endsWith(" is made")).length}`);
      },
    );
  });
}
