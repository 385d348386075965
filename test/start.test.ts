import { expect, it } from "vitest";
import { startOf } from "../src/start.ts";

const STARTS: [args: string[], environment: NodeJS.ProcessEnv, start: string][] = [
  [[], {}, "unsupervised"],
  [["--socket", "/s"], { NOTIFY_SOCKET: "" }, "unsupervised"],
  [["--socket", "/s"], { NOTIFY_SOCKET: "/run/systemd/notify" }, "supervised"],
  [["--simulate", "/t"], {}, "simulated"],
  [["--socket=/s", "--simulate=/t"], { NOTIFY_SOCKET: "@notify" }, "simulated"],
  [["--simulated"], {}, "unsupervised"],
];

it.each(STARTS)("%j in %j is %s", (args, environment, start) => {
  expect(startOf(args, environment)).toBe(start);
});
