import * as z from "zod";
import { findMissing } from "../../host/platform/missing.ts";
import { lazily } from "../../lazily.ts";
import { defineMethod, noParams } from "../method.ts";

const count = lazily(() => z.int().nonnegative());

export const queryStatus = defineMethod({
  name: "query-status",
  role: "observe",
  summary: "How the daemon is doing, and what the kernel under it can do.",
  params: noParams,
  result: () =>
    z.object({
      backend: z.enum(["linux", "simulated"]),
      kernel: z.object({
        release: z.string(),
        iommufd: z.boolean().meta({ description: "Whether the host has /dev/iommu" }),
        "vfio-cdev": z.boolean().meta({ description: "Whether the kernel makes VFIO device nodes" }),
        "resv-iova-ranges": z
          .boolean()
          .meta({ description: "Whether the proposed per-device ioctl is in use" }),
        missing: z
          .array(
            z.object({
              what: z.enum([
                "/dev/iommu",
                "CONFIG_VFIO_DEVICE_CDEV",
                "/dev/vfio/vfio",
                "IOMMU",
                "CAP_SYS_PTRACE",
                "CAP_SYS_RESOURCE",
              ]),
              why: z.string().meta({ description: "For people; says what can be done" }),
            }),
          )
          .meta({ description: "What this host lacks of what the daemon can use, and why" }),
      }),
      "uptime-seconds": z.number().nonnegative(),
      contexts: count(),
      "held-devices": count(),
      connections: count(),
      "log-lines-dropped": count().meta({ description: "Lines of the daemon's log that nobody has taken" }),
      "keeps-state": z.boolean().meta({
        description:
          "Whether a restart of the daemon takes over contexts, IOASes and held devices: under systemd",
      }),
      cache: z.object({ hits: count(), misses: count(), invalidations: count() }),
      mismatches: count().meta({
        description:
          "How often the kernel's answer differed from the prediction in a way that an unknown aperture does not explain",
      }),
    }),
  errors: [],
  handler: (_params, { host, daemon }) => ({
    backend: daemon.backend,
    kernel: {
      release: host.kernel.release,
      iommufd: host.platform.hasIommufd,
      "vfio-cdev": host.platform.hasVfioCdev,
      "resv-iova-ranges": host.usesResvIovaRanges,
      missing: findMissing(host.kernel, host.platform),
    },
    "uptime-seconds": Math.floor(daemon.uptime()),
    contexts: host.contexts().length,
    "held-devices": host.heldCount,
    connections: daemon.connections(),
    "log-lines-dropped": daemon.logLinesDropped(),
    "keeps-state": daemon.keepsState,
    cache: { ...host.cacheCounters },
    mismatches: host.mismatches,
  }),
});
