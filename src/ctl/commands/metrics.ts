import { openMetricsText, prometheusText } from "../../metrics/text.ts";
import { defineCommand } from "../command.ts";
import { noMore } from "../need.ts";

export const metrics = defineCommand({
  options: {
    openmetrics: {
      type: "boolean",
      about: "strictly as OpenMetrics 1.0, where a counter's family lacks the _total",
    },
  },
  details: [
    "In the form that node_exporter's textfile collector and promtool take: iovactl metrics > iovad.prom",
  ],
  async run({ args, options, out, daemon }) {
    noMore(args);
    const client = await daemon.connect();
    const answer = await client.call("query-metrics");
    await client.close();
    if (out.json !== "off") out.printJson(answer);
    else out.raw(options.openmetrics ? openMetricsText(answer.metrics) : prometheusText(answer.metrics));
    return 0;
  },
});
