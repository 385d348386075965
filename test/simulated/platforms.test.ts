import { readdirSync } from "node:fs";
import { describe, vi } from "vitest";
import { fewOf } from "../runs.ts";

/** What the simulated kernel imitates besides (see test/conformance/platforms.ts): each kind of IOMMU, each size of page. */
const OTHERS = ["vtd48", "amd", "virtio", "smmu", "smmu-16k", "smmu-64k"];

const DIRECTORY = new URL("../conformance/", import.meta.url).pathname;
const SUITE = readdirSync(DIRECTORY).filter((file) => file.endsWith(".test.ts"));

// What the suite expects is computed when it is loaded, so it is loaded anew for each. Vitest's projects would share
// neither processes nor what is compiled.
describe.each(fewOf(OTHERS, 2))("the conformance suite, on %s", async (name) => {
  vi.stubEnv("IOVAD_LAB_BOOT", name);
  vi.resetModules();
  for (const file of SUITE) await import(DIRECTORY + file);
  vi.unstubAllEnvs();
  // The next file in this process is about the usual platform.
  vi.resetModules();
});
