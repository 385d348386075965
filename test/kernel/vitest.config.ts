import { defineConfig } from "vitest/config";

/** What runs inside the lab's guest: an emulated CPU, a root file system that cannot be written. */
export default defineConfig({
  cacheDir: "/tmp/vite",
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/conformance/*.test.ts", "test/kernel/*.test.ts"],
    reporters: ["verbose", "json"],
    // One process, one module graph: there is one kernel, and starting a second Node.js takes seconds here.
    pool: "threads",
    isolate: false,
    fileParallelism: false,
    testTimeout: 60_000,
  },
});
