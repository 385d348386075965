import { defineConfig } from "vitest/config";

/** The lab's other boots that run the conformance suite (see test/conformance/platforms.ts). */
const OTHER_PLATFORMS = ["vtd48", "amd", "virtio"];

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    testTimeout: 30_000,
    // Files share processes: starting one takes longer than most files do.
    isolate: false,
    maxWorkers: "100%",
    projects: [
      {
        extends: true,
        test: { name: "vtd39", include: ["test/**/*.test.ts"], exclude: ["test/kernel/**"] },
      },
      ...OTHER_PLATFORMS.map((name) => ({
        extends: true as const,
        test: {
          name,
          include: ["test/conformance/*.test.ts"],
          env: { IOVAD_LAB_BOOT: name },
        },
      })),
    ],
  },
});
