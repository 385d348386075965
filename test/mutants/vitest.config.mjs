import { defineConfig } from "vitest/config";
import { BaseSequencer } from "vitest/node";

/** What one source file is to be, without which all is as it is; and the test files in the order in which they run. */
const { mutant, order = [] } = JSON.parse(process.env.IOVAD_MUTANT ?? "{}");

class AsOrdered extends BaseSequencer {
  async sort(files) {
    return files.toSorted((a, b) => order.indexOf(a.moduleId) - order.indexOf(b.moduleId));
  }
}

export default defineConfig({
  plugins: [
    { name: "mutant", enforce: "pre", load: (id) => (id === mutant?.path ? mutant.source : undefined) },
  ],
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/**/*.test.ts"],
    // What looks for faults at random takes a minute for each mutant, and finds them by chance.
    exclude: ["**/random-sequences.test.ts", "**/interleavings.test.ts", "**/random-hosts.test.ts"],
    isolate: false,
    maxWorkers: 1,
    bail: 1,
    sequence: { sequencer: AsOrdered },
    reporters: ["dot"],
    testTimeout: 120_000,
  },
});
