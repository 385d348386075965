import * as z from "zod";
import { DEFAULT_CONTEXT } from "../../host/contexts/contexts.ts";
import { lazily } from "../../lazily.ts";
import { invalidParams } from "../errors.ts";
import { contextName, device, deviceName } from "../inputs.ts";
import { type Call, defineMethod } from "../method.ts";
import { ownWholeContext } from "./ownership.ts";

const fds = lazily(() =>
  z.array(z.enum(["iommufd", "device"])).meta({
    description:
      "What the file descriptors are that come with the answer's first byte (SCM_RIGHTS), in their order",
  }),
);

const simulated = lazily(() =>
  z.literal(true).optional().meta({
    description: "A simulated host has passed placeholders: open files that answer no ioctl",
  }),
);

export const handOverDevice = defineMethod({
  name: "hand-over-device",
  role: "control",
  summary:
    "Passes the context's iommufd and the device's cdev, open and unbound, as file descriptors: what QEMU takes as fd=.",
  params: () => z.strictObject({ device: device(), context: contextName() }),
  result: () =>
    z.object({ device: deviceName(), context: contextName(), fds: fds(), simulated: simulated() }),
  errors: [
    "DeviceNotFound",
    "DeviceBusy",
    "DeviceNotReady",
    "DeviceBlocked",
    "ContextNotFound",
    "PermissionDenied",
    "NotSupported",
    "KernelError",
  ],
  handler: async ({ device, context }, call) => {
    refuseUnlessOwn(context, call);
    const { uid } = call.connection.peer;
    await call.host.handOverDevice(device, context, (parcel) => call.connection.enclose(parcel), uid);
    return { device, context, fds: ["iommufd" as const, "device" as const], ...simulation(call) };
  },
});

export const handOverContext = defineMethod({
  name: "hand-over-context",
  role: "control",
  summary: "Passes the context's iommufd as a file descriptor. From then on others can change what is in it.",
  params: () => z.strictObject({ context: contextName() }),
  result: () => z.object({ context: contextName(), fds: fds(), simulated: simulated() }),
  errors: ["ContextNotFound", "PermissionDenied", "NotSupported", "KernelError"],
  handler: async ({ context }, call) => {
    refuseUnlessOwn(context, call);
    await call.host.handOverContext(context, (parcel) => call.connection.enclose(parcel));
    return { context, fds: ["iommufd" as const], ...simulation(call) };
  },
});

function simulation({ daemon }: Call): { simulated?: true } {
  return daemon.backend === "simulated" ? { simulated: true } : {};
}

/** Who has the iommufd can destroy what others have made in the context, and map into it. */
function refuseUnlessOwn(context: string, call: Call): void {
  if (context === DEFAULT_CONTEXT) {
    throw invalidParams(
      'context: "default" is everybody\'s; give every guest one of its own with create-context',
    );
  }
  ownWholeContext(context, call);
}
