import { defineConfig } from "vitest/config";

const dist = new URL("../../dist", import.meta.url).pathname;

/** What runs inside the lab's guest: an emulated CPU, a root file system that cannot be written. */
export default defineConfig({
  cacheDir: "/tmp/vite",
  // The built modules in the place of their sources: the adapter for Linux has to be compiled, since its threads run
  // it, and whatever recognises its errors has to be of the same modules. Nor does the guest compile anything.
  resolve: { alias: [{ find: /^(\.\.\/)+src\/(.*)\.ts$/, replacement: `${dist}/$2.js` }] },
  test: {
    root: new URL("../..", import.meta.url).pathname,
    server: { deps: { external: [/\/dist\//] } },
    include: ["test/conformance/*.test.ts", "test/kernel/*.test.ts"],
    reporters: ["verbose", "json"],
    // One process, one module graph: there is one kernel, and starting a second Node.js takes seconds here.
    pool: "threads",
    isolate: false,
    fileParallelism: false,
    // The host may be busy, and then an emulated CPU has minutes without a turn.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
