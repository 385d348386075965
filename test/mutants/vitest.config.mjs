import { defineConfig } from "vitest/config";

/** What one source file is to be, in IOVAD_MUTANT; without it, all is as it is. */
const mutant = JSON.parse(process.env.IOVAD_MUTANT ?? "null");

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
    reporters: ["dot"],
    testTimeout: 120_000,
  },
});
