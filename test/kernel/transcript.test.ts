import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";

it("transcript", () => {
  execFileSync("bash", ["/run/checkout/test/kernel/transcript.sh"], {
    stdio: "inherit",
    env: { ...process.env, NODE: process.execPath },
  });
  expect(1).toBe(1);
}, 200_000);
