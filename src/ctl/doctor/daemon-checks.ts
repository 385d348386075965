import { type Client, DaemonError, type Result } from "../../client/index.ts";
import { counted } from "../counted.ts";
import { type Finding, failure, ok, warning } from "./finding.ts";

/** Of a limit, in percent: from there on it is near. */
const NEAR = 80;

/** How many IOMMUs are named. */
const NAMED = 6;

/** The gauges that have a limit, by its name. */
const LIMITED: Readonly<Record<string, string>> = {
  iovad_connections: "max-connections",
  iovad_contexts: "max-contexts",
  iovad_buffered_bytes: "max-buffered",
};

/** How the daemon is, from what it tells of itself. */
export async function checkDaemon(client: Client, place: string): Promise<Finding[]> {
  const [status, { commands }, metrics] = await Promise.all([
    client.call("query-status"),
    client.call("query-commands"),
    client.call("query-metrics").catch(unlessUnknown),
  ]);
  const role = commands.some(({ name }) => name === "hold-device") ? "control" : "observe";
  return [
    ok(
      "daemon",
      "socket",
      `iovad ${client.greeting.version} at ${place}, up for ${status["uptime-seconds"]} s`,
    ),
    ok(
      "daemon",
      "role",
      role === "control" ? "this user may do everything" : "this user may ask, and change nothing",
    ),
    ...limits(metrics),
    mismatches(status.mismatches),
    noneOf(
      "events lost",
      total(metrics, "iovad_events_lost_total"),
      "clients have read too slowly",
      "let them read, or raise max-queue",
    ),
    noneOf(
      "log lines dropped",
      status["log-lines-dropped"],
      "nobody took them",
      "look at what reads the daemon's standard error (journald, the disk)",
    ),
    restart(status),
  ];
}

/** What the daemon tells of a kernel that is not this one: of a simulated host, or of another. */
export function checkKernelOf({ kernel, backend }: Result<"query-status">): Finding[] {
  const what = `${backend === "simulated" ? "a simulated " : ""}Linux ${kernel.release}`;
  return [
    ok("kernel", "version", what),
    ...kernel.missing.map(({ what, why }) =>
      failure(what === "IOMMU" ? "iommu" : "kernel", what, "it is not there", why),
    ),
    ...(kernel.missing.length === 0 ? [ok("kernel", "iommufd and VFIO cdevs", "both are there")] : []),
  ];
}

/** What is known of how far each IOMMU reaches. */
export async function checkApertures(
  client: Client,
  devices: Result<"query-devices">["devices"],
): Promise<Finding[]> {
  const first = new Map(
    devices.map((device) => [device.iommu ?? `group ${device.group}`, device.device] as const),
  );
  const answers = await Promise.all(
    Array.from(first, async ([iommu, device]) => ({
      iommu,
      answer: await client.call("query-reserved-ranges", { device }),
    })),
  );
  // Alike as most are, they are told of together.
  const alike = new Map<string, { iommus: string[]; source: string }>();
  for (const { iommu, answer } of answers) {
    const { aperture, "aperture-source": source } = answer;
    const extent = `${aperture ? `${aperture.start}-${aperture.last}` : "unknown"}${source === "estimate" ? ", an estimate" : ""}`;
    const known = alike.get(extent) ?? { iommus: [], source };
    alike.set(extent, { ...known, iommus: [...known.iommus, iommu] });
  }
  return Array.from(alike, ([extent, { iommus, source }]) => {
    const more = iommus.length > NAMED ? ` and ${iommus.length - NAMED} more` : "";
    const evidence = `${iommus.slice(0, NAMED).join(", ")}${more}: ${extent}`;
    return source === "estimate" || source === "unknown"
      ? warning("iommu", "aperture", evidence, "iovactl probe DEVICE asks the kernel (it resets the device)")
      : ok("iommu", "aperture", evidence);
  });
}

type Metrics = Result<"query-metrics"> | undefined;

/** Over all labels; undefined when the daemon does not know of it. */
function total(metrics: Metrics, name: string): number | undefined {
  const samples = samplesOf(metrics, name);
  return samples.length === 0 ? undefined : samples.reduce((sum, { value }) => sum + value, 0);
}

function samplesOf(metrics: Metrics, name: string) {
  const metric = metrics?.metrics.find((each) => each.name === name);
  return metric && metric.type !== "histogram" ? metric.samples : [];
}

function limits(metrics: Metrics): Finding[] {
  if (!metrics) return [];
  const all = samplesOf(metrics, "iovad_limit");
  const near = Object.entries(LIMITED).flatMap(([gauge, limit]) => {
    const most = all.find(({ labels }) => labels.limit === limit)?.value;
    const value = total(metrics, gauge);
    return most !== undefined && value !== undefined && value * 100 >= most * NEAR
      ? [
          warning(
            "daemon",
            "limits",
            `${value} of ${most} (${limit})`,
            `raise --${limit}, or close what is not needed`,
          ),
        ]
      : [];
  });
  return near.length > 0 ? near : [ok("daemon", "limits", "none is near")];
}

function mismatches(count: number): Finding {
  return count === 0
    ? ok("daemon", "predictions", "the kernel has always answered as predicted")
    : failure(
        "daemon",
        "predictions",
        `the kernel has answered otherwise than predicted ${counted(count, "time")}`,
        "send the log's lines and iovad --capture to whoever maintains iovad; the kernel's answers are what clients got",
      );
}

function noneOf(check: string, count: number | undefined, what: string, remedy: string): Finding {
  if (count === undefined) return ok("daemon", check, "this daemon does not tell");
  return count === 0 ? ok("daemon", check, "none") : warning("daemon", check, `${count}: ${what}`, remedy);
}

/** A daemon that keeps its state over a restart says so. */
function restart(status: Result<"query-status">): Finding {
  const held = status["held-devices"];
  const evidence = `${counted(held, "held device")}, ${counted(status.contexts, "context")}`;
  if (status["keeps-state"]) return ok("daemon", "restart", `${evidence}: a restart keeps them`);
  if (held === 0 && status.contexts <= 1) return ok("daemon", "restart", `${evidence}: nothing to lose`);
  return warning(
    "daemon",
    "restart",
    `${evidence}: a restart would release them`,
    "run it as iovad.service, with systemd's descriptor store",
  );
}

function unlessUnknown(error: unknown): undefined {
  if (error instanceof DaemonError && error.class === "MethodNotFound") return undefined;
  throw error;
}
