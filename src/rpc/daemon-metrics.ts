import type { Change } from "../host/changes.ts";
import type { Host } from "../host/host.ts";
import type { Limits } from "../limits.ts";
import { Durations } from "../metrics/durations.ts";
import { counter, gauge, type Metric, type Sample } from "../metrics/metric.ts";
import { Requests } from "../metrics/requests.ts";
import type { Budget } from "./budget.ts";
import type { EventHub } from "./event-hub.ts";
import type { DaemonInfo } from "./method.ts";
import { deviceState, lease } from "./records.ts";

/** What is measured as it happens. The rest is asked for when somebody wants to know. */
export class Meters {
  readonly requests = new Requests();
  readonly #operations = new Durations();
  accepted = 0;
  refused = 0;

  /** Is told of every change: some say how long they took in the kernel. */
  readonly observe = (change: Change): void => {
    if ("milliseconds" in change) this.#operations.observe(change.event, change.milliseconds / 1000);
  };

  operations(): Metric {
    const help = "How long the kernel took for operations on devices, by the event that tells of them.";
    return this.#operations.metric("iovad_operation_seconds", help, "event");
  }
}

export interface Measured {
  readonly meters: Meters;
  readonly host: Host;
  readonly daemon: Omit<DaemonInfo, "metrics">;
  readonly events: EventHub;
  readonly budget: Budget;
  readonly limits: Limits;
}

/** Everything that is measured, as it is at this moment. */
export function measure({ meters, host, daemon, events, budget, limits }: Measured): Metric[] {
  const { cacheCounters } = host;
  const cpu = process.cpuUsage();
  return [
    gauge("iovad_build_info", "Always 1; the labels say what runs.", [
      { labels: { version: daemon.version, backend: daemon.backend }, value: 1 },
    ]),
    gauge(
      "iovad_start_time_seconds",
      "When the daemon began, in seconds since 1970.",
      daemon.startedAt.getTime() / 1000,
    ),
    ...meters.requests.metrics(),
    meters.operations(),
    gauge("iovad_connections", "Connections that are open.", daemon.connections()),
    counter("iovad_connections_accepted_total", "Connections that were let in.", meters.accepted),
    counter("iovad_connections_refused_total", "Connections that were sent away.", meters.refused),
    gauge("iovad_buffered_bytes", "Lines, answers and events that wait, over all clients.", budget.total),
    gauge("iovad_limit", "Every limit, as it is set.", limitSamples(limits)),
    counter("iovad_cache_hits_total", "Answers that the cache had.", cacheCounters.hits),
    counter("iovad_cache_misses_total", "Answers that the kernel had to be asked for.", cacheCounters.misses),
    counter(
      "iovad_cache_invalidations_total",
      "Answers that were dropped because they may have changed.",
      cacheCounters.invalidations,
    ),
    counter(
      "iovad_mismatches_total",
      "Answers of the kernel that differed from what was predicted.",
      host.mismatches,
    ),
    gauge(
      "iovad_contexts",
      "Contexts that are open, by lease.",
      samplesBy("lease", lease().options, host.contexts()),
    ),
    gauge(
      "iovad_ioas",
      "IO address spaces that were made here.",
      host.contexts().reduce((sum, { ioases }) => sum + ioases.size, 0),
    ),
    gauge(
      "iovad_devices",
      "Devices with an IOMMU group, by state.",
      samplesBy("state", deviceState().options, host.snapshot().devices),
    ),
    counter("iovad_events_total", "Events, over all restarts that kept the state.", events.sequence),
    gauge("iovad_subscriptions", "Connections that get events.", events.subscriptions),
    counter(
      "iovad_events_lost_total",
      "Events that subscribers have not got because they read too slowly.",
      events.lost,
    ),
    counter(
      "iovad_log_lines_dropped_total",
      "Lines of the log that nobody has taken.",
      daemon.logLinesDropped(),
    ),
    counter(
      "iovad_restarts_total",
      "Restarts that this daemon has taken its state over from.",
      daemon.restarts,
    ),
    // By the names that dashboards know them by.
    counter(
      "process_cpu_seconds_total",
      "Processor time, the kernel's for this process included.",
      (cpu.user + cpu.system) / 1e6,
    ),
    gauge(
      "process_resident_memory_bytes",
      "Memory of this process that is resident.",
      process.memoryUsage.rss(),
    ),
  ];
}

function limitSamples(limits: Limits): Sample[] {
  return Object.entries(limits).map(([limit, value]) => ({ labels: { limit }, value }));
}

/** How many there are with each value of what the label tells. */
function samplesBy<Label extends string, Value extends string>(
  label: Label,
  values: readonly Value[],
  all: readonly Readonly<Record<Label, Value>>[],
): Sample[] {
  return values.map((value) => ({
    labels: { [label]: value },
    value: all.filter((each) => each[label] === value).length,
  }));
}
