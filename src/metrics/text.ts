import type { Distribution, Labels, Metric } from "./metric.ts";

/** The media type of openMetricsText(). */
export const OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/** The media type of prometheusText(). */
export const PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8";

/** As OpenMetrics 1.0 has it: a counter's family lacks the _total of its samples. */
export function openMetricsText(metrics: readonly Metric[]): string {
  return text(metrics, ({ name, type }) => (type === "counter" ? name.replace(/_total$/, "") : name));
}

/**
 * As Prometheus had it before, and as promtool and node_exporter's textfile collector read it: every family has the
 * name of its samples. To them the last line is a comment.
 */
export function prometheusText(metrics: readonly Metric[]): string {
  return text(metrics, ({ name }) => name);
}

function text(metrics: readonly Metric[], family: (metric: Metric) => string): string {
  const lines = metrics.flatMap((metric) => [
    `# HELP ${family(metric)} ${escapeHelp(metric.help)}`,
    `# TYPE ${family(metric)} ${metric.type}`,
    ...(metric.type === "histogram"
      ? metric.distributions.flatMap((each) => histogramLines(metric.name, each))
      : metric.samples.map(({ labels, value }) => line(metric.name, labels, value))),
  ]);
  return `${lines.join("\n")}\n# EOF\n`;
}

function histogramLines(name: string, { labels, buckets, sum, count }: Distribution): string[] {
  return [
    ...buckets.map(({ le, count }) => line(`${name}_bucket`, { ...labels, le }, count)),
    line(`${name}_sum`, labels, sum),
    line(`${name}_count`, labels, count),
  ];
}

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, of]) => `${label}="${escapeLabel(of)}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${value}`;
}

function escapeHelp(help: string): string {
  return help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(value: string): string {
  return escapeHelp(value).replaceAll('"', '\\"');
}
