import type { Send } from "../../../src/host/devices/handovers.ts";
import type { Host } from "../../../src/host/host.ts";
import { setOf } from "../simulation.ts";

/** Whoever asks. */
export const OWNER = 7;

/** The devices of a case: two of one group, and one of another. */
export interface Cast {
  readonly nic: string;
  readonly sibling: string;
  readonly gpu: string;
}

/** Something that is asked of a host, and during which it dies. */
export interface Case {
  /** The method, and what is special about it. */
  readonly name: string;
  readonly before?: (host: Host, cast: Cast, send: Send) => unknown;
  /** Until its answer; what is sent with that goes to `send`. */
  readonly call: (host: Host, cast: Cast, send: Send) => unknown;
  /** What else may have become of it. */
  readonly orElse?: (host: Host, cast: Cast, send: Send) => unknown;
}

const FIRST = setOf({ start: "0x90000", last: "0x9ffff", type: "" });
const SECOND = setOf({ start: "0x20000", last: "0x2ffff", type: "" });

/** Every method that controls; but resume-context makes no call, and keeps nothing. */
export const CASES: readonly Case[] = [
  { name: "create-context", call: (host) => host.createContext("other", "persistent", OWNER) },
  {
    name: "create-context with rlimit-mode",
    call: (host) => host.createContext("other", "connection", OWNER, true),
  },
  { name: "destroy-context", call: (host) => host.destroyContext("guest") },
  { name: "create-ioas", call: (host) => host.createIoas("guest", OWNER) },
  { name: "create-ioas, the first in default", call: (host) => host.createIoas("default", OWNER) },
  { name: "destroy-ioas", call: (host) => host.destroyIoas("guest", 2) },
  { name: "allow-ranges", call: (host) => host.allowRanges("guest", 1, SECOND) },
  {
    name: "allow-ranges, in place of others",
    before: (host) => host.allowRanges("guest", 1, FIRST),
    call: (host) => host.allowRanges("guest", 1, SECOND),
  },
  { name: "probe-device", call: (host, { gpu }) => host.probe(gpu) },
  { name: "hold-device", call: (host, { gpu }) => host.hold(gpu, "guest", OWNER) },
  { name: "hold-device, the first in default", call: (host, { gpu }) => host.hold(gpu, "default", OWNER) },
  { name: "release-device", call: (host, { nic }) => host.release(nic) },
  {
    name: "attach-device",
    before: (host, { gpu }) => host.hold(gpu, "guest", OWNER),
    call: (host, { gpu }) => host.attach(gpu, 2),
  },
  {
    name: "attach-device beside others",
    before: (host, { gpu }) => host.hold(gpu, "guest", OWNER),
    call: (host, { gpu }) => host.attach(gpu, 1),
  },
  {
    name: "attach-device, a replace of a whole group",
    call: (host, { nic }) => host.attach(nic, 2),
  },
  { name: "detach-device", call: (host, { nic }) => host.detach(nic) },
  {
    name: "hand-over-device",
    call: (host, { gpu }, send) => host.handOverDevice(gpu, "guest", send, OWNER),
    // It is free again.
    orElse: (host, _, send) => host.handOverContext("guest", send),
  },
  {
    name: "hand-over-device with a context that ends with the guest, which ends",
    before: (host, { gpu }, send) => {
      host.createContext("vm", "handed-over", OWNER);
      return host.handOverDevice(gpu, "vm", send, OWNER);
    },
    call: async (host, { gpu }) => {
      const vm = host.context("vm");
      await host.device(gpu);
      await vm.ending;
    },
  },
  { name: "hand-over-context", call: (host, _, send) => host.handOverContext("guest", send) },
];

/** The NIC and its sibling are attached to IOAS 1 of "guest"; 2 is empty; the GPU is free. */
export async function furnish(host: Host, cast: Cast): Promise<void> {
  host.createContext("guest", "persistent", OWNER);
  for (let i = 0; i < 2; i++) host.createIoas("guest", OWNER);
  for (const device of [cast.nic, cast.sibling]) {
    await host.hold(device, "guest", OWNER);
    await host.attach(device, 1);
  }
}
