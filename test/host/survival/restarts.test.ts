import { expect, it } from "vitest";
import { NO_JOURNAL } from "../../../src/host/survival/journal.ts";
import { countRestarts } from "../../../src/host/survival/restarts.ts";
import { JournalFile } from "../../../src/service/journal-file.ts";
import { Memory } from "./world.ts";

it("restarts are counted from life to life, where anything outlives one", () => {
  const left = [new Memory(), new Memory()] as const;
  expect([1, 2, 3].map(() => countRestarts(new JournalFile(left)))).toEqual([0, 1, 2]);
  expect([1, 2].map(() => countRestarts(NO_JOURNAL))).toEqual([0, 0]);
});
