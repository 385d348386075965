import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { IS_LONG } from "./runs.ts";

/** Begins with what takes half a core's time, lest the other core wait for it at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLongest = ({ moduleId }: TestSpecification) => moduleId.endsWith("/random-sequences.test.ts");
    const others = await super.sort(files.filter((file) => !isLongest(file)));
    return [...files.filter(isLongest), ...others];
  }
}

// With it, each Node.js that a test starts reads a hundred certificates first: five times the work of its start.
delete process.env.NODE_EXTRA_CA_CERTS;

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    // For a machine that is busy with something else: a test that hangs is found all the same.
    testTimeout: IS_LONG ? 900_000 : 180_000,
    hookTimeout: 180_000,
    // Files share processes: starting one takes longer than most files do.
    isolate: false,
    // What tests make is garbage soon: V8 looks through it less often where it has more room from the first.
    execArgv: ["--min-semi-space-size=16", "--max-semi-space-size=32"],
    // What Vite has made of a file is made again when the file is another.
    experimental: { fsModuleCache: true },
    // One more than there are processors: many a file waits for a process that it has started.
    maxWorkers: availableParallelism() + 1,
    sequence: { sequencer: LongestFirst },
    include: ["test/**/*.test.ts"],
    exclude: ["test/kernel/**"],
  },
});
