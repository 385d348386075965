import { expect, it } from "vitest";
import { ConnectionError, DaemonError } from "../../src/client/index.ts";
import { UsageError } from "../../src/command-line.ts";
import { exitStatusOf } from "../../src/ctl/exit-status.ts";

const refusal = (name: string) => new DaemonError({ code: -32000, message: "", data: { class: name } });

it.each([
  ["a refusal", refusal("DeviceBusy"), 1],
  ["an error that this version does not know", refusal("NewError"), 1],
  ["a file that cannot be written", new Error("ENOSPC"), 1],
  ["a wrong command line", new UsageError(""), 2],
  ["params that the daemon does not take", refusal("InvalidParams"), 2],
  ["a method that it does not know", refusal("MethodNotFound"), 2],
  ["no socket", new ConnectionError("ENOENT", ""), 3],
  ["a daemon that has gone", new ConnectionError("CLOSED", ""), 3],
  ["a socket that this user may not open", new ConnectionError("EACCES", ""), 4],
  ["a role that does not allow it, or none", refusal("PermissionDenied"), 4],
])("%s is told by the exit status", (_what, error, status) => {
  expect(exitStatusOf(error)).toBe(status);
});
