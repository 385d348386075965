import { expect, it } from "vitest";
import { Histogram } from "../../src/metrics/histogram.ts";
import { counter, gauge, histogram } from "../../src/metrics/metric.ts";
import { openMetricsText, prometheusText } from "../../src/metrics/text.ts";

const METRICS = [
  counter("iovad_requests_total", "Requests.", [{ labels: { method: "a", outcome: 'x"\\y\n' }, value: 2 }]),
  gauge("iovad_connections", "Open\nones.", 3),
];

it("writes OpenMetrics: a counter's family lacks the _total, and what is special is escaped", () => {
  expect(openMetricsText(METRICS)).toBe(
    [
      "# HELP iovad_requests Requests.",
      "# TYPE iovad_requests counter",
      'iovad_requests_total{method="a",outcome="x\\"\\\\y\\n"} 2',
      "# HELP iovad_connections Open\\nones.",
      "# TYPE iovad_connections gauge",
      "iovad_connections 3",
      "# EOF\n",
    ].join("\n"),
  );
});

it("writes what was before it: every family has the name of its samples", () => {
  expect(prometheusText(METRICS)).toContain("# TYPE iovad_requests_total counter\n");
});

it("a histogram's buckets each include those before, and the last all", () => {
  const durations = new Histogram();
  for (const seconds of [0.0001, 0.05, 0.05, 100]) durations.observe(seconds);
  const each = durations.distribution({});
  expect(each.buckets.map(({ le, count }) => [le, count])).toEqual([
    ["0.0001", 1],
    ["0.001", 1],
    ["0.01", 1],
    ["0.1", 3],
    ["1", 3],
    ["10", 3],
    ["+Inf", 4],
  ]);
  expect(each.sum).toBeCloseTo(100.1001);
  const text = openMetricsText([histogram("iovad_request_seconds", "How long.", [each])]);
  expect(text).toContain('iovad_request_seconds_bucket{le="+Inf"} 4\n');
  expect(text).toContain("iovad_request_seconds_count 4\n");
});
