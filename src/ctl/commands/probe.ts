import { type Client, DaemonError } from "../../client/index.ts";
import { complain, UsageError } from "../../command-line.ts";
import { defineCommand } from "../command.ts";
import { NoAnswer } from "../dry-run.ts";
import { EXIT, exitStatusOf } from "../exit-status.ts";
import { inCommands } from "../in-commands.ts";
import { answersOf } from "../need.ts";
import { RESERVED_COLUMNS, reservedLines } from "../reserved-ranges.ts";
import { Progress } from "../terminal/progress.ts";

export const probe = defineCommand({
  options: { all: { type: "boolean", about: "every device that is available now" } },
  details: [
    "A probe binds the device for a moment and asks the kernel: it resets the device, and leaves nothing behind. Ctrl-C ends after the device that is under way; the daemon finishes that one by itself.",
  ],
  columns: () => RESERVED_COLUMNS,
  async run({ args, options, out, daemon, errors }) {
    if (options.all ? args.length > 0 : args.length === 0) {
      throw new UsageError("name the devices to probe, or give --all");
    }
    if (options.all) answersOf(daemon, "probe --all");
    const client = await daemon.connect();
    const devices = options.all ? await probeable(client) : args;
    if (devices.length === 0) {
      complain("iovactl", "there is no device that could be probed now; iovactl devices tells why", errors);
      return EXIT.no;
    }
    const progress = new Progress(errors);
    const failures: unknown[] = [];
    for (const [at, device] of devices.entries()) {
      if (devices.length > 1) progress.say(`${at} of ${devices.length}: ${device}`);
      try {
        const answer = await client.call("probe-device", { device });
        progress.clear();
        if (at > failures.length && out.json === "off") out.print("");
        out.answer(answer, () => reservedLines(answer, out));
      } catch (error) {
        progress.clear();
        // The others may still be told.
        if (error instanceof NoAnswer) continue;
        if (!(error instanceof DaemonError)) throw error;
        complain("iovactl", inCommands(error.message), errors);
        failures.push(error);
      }
    }
    await client.close();
    return Math.max(0, ...failures.map(exitStatusOf));
  },
});

/** Those that are available; without cdevs, by way of VFIO's groups, those too that nothing else keeps from guests. */
async function probeable(client: Client): Promise<string[]> {
  const { devices } = await client.call("query-devices");
  return devices
    .filter(({ blockers }) => blockers.every(({ reason }) => reason === "no-cdev"))
    .map(({ device }) => device);
}
