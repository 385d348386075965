import type { Result } from "../../client/index.ts";
import { defineCommand } from "../command.ts";
import { noMore } from "../need.ts";
import type { Output } from "../terminal/output.ts";

export const status = defineCommand({
  options: {},
  async run({ args, out, daemon }) {
    noMore(args);
    const client = await daemon.connect();
    const answer = await client.call("query-status");
    out.answer(answer, () => lines(answer, client.greeting.version, daemon.place, out));
    await client.close();
    return 0;
  },
});

function lines(answer: Result<"query-status">, version: string, place: string, out: Output): string[] {
  const { kernel, cache, mismatches } = answer;
  const can = (what: boolean, name: string) => (what ? name : `no ${name}`);
  return [
    ...out.facts([
      ["daemon", `iovad ${version} at ${place}`],
      ["backend", answer.backend],
      [
        "kernel",
        `${kernel.release}: ${can(kernel.iommufd, "iommufd")}, ${can(kernel["vfio-cdev"], "VFIO cdevs")}`,
      ],
      ["up", duration(answer["uptime-seconds"])],
      ["contexts", `${answer.contexts}`],
      ["held devices", `${answer["held-devices"]}`],
      ["connections", `${answer.connections}`],
      ["cache", `${cache.hits} hits, ${cache.misses} misses, ${cache.invalidations} invalidations`],
      ["mismatches", out.paint(mismatches > 0 ? "blocks" : "fits", `${mismatches}`)],
      ["log lines dropped", `${answer["log-lines-dropped"]}`],
    ]),
    ...kernel.missing.map(({ what, why }) => `${out.paint("warns", `missing: ${what}`)}: ${why}`),
  ];
}

/** For people: the two largest units of it. */
function duration(seconds: number): string {
  const units = [
    [86_400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ] as const;
  const parts: string[] = [];
  let left = Math.floor(seconds);
  for (const [length, unit] of units) {
    if (left >= length) parts.push(`${Math.floor(left / length)} ${unit}`);
    left %= length;
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}
