import * as z from "zod";
import { lazily } from "../../lazily.ts";
import { LIMITS } from "../../limits.ts";
import type { Window } from "../../plan/layout.ts";
import { U64_MAX } from "../../ranges/address.ts";
import { address, size, windowName } from "../inputs.ts";
import { machine } from "./machine-params.ts";

const window = lazily(() =>
  z
    .strictObject({
      name: windowName(),
      start: address(),
      last: address().optional(),
      size: size().optional().meta({ description: "Instead of last" }),
      required: z
        .boolean()
        .default(true)
        .meta({ description: "Whether the guest cannot do without; a PCI hole, for one, it can" }),
    })
    .transform(({ name, start, last: given, size, required }, context): Window => {
      const fault = (message: string) => {
        context.addIssue({ code: "custom", message });
        return z.NEVER;
      };
      if ((given === undefined) === (size === undefined)) return fault("expected either last or size");
      if (size === 0n) return fault("size: expected at least 1 byte");
      const last = given ?? start + (size as bigint) - 1n;
      if (last < start) return fault("start lies above last (both are inclusive)");
      if (last > U64_MAX) return fault("start and size reach beyond 64 bits");
      return { name, start, last, required };
    })
    .meta({
      id: "WindowInput",
      description: "A part of the guest's address space that devices are to reach",
    }),
);

/** The members of params that say what a guest's memory map is. */
export const layoutParams = lazily(() => ({
  layout: z
    .array(window())
    .max(LIMITS["max-windows"].max, { error: `at most ${LIMITS["max-windows"].max} windows` })
    .optional()
    .meta({ description: "Windows; beside a machine or an mtree, in addition to theirs" }),
  machine: machine().optional(),
  mtree: z.string().optional().meta({
    description:
      'What the monitor of a running QEMU prints for "info mtree -f", or -f -o (QMP: human-monitor-command). The view of the address space "memory" is enough: from its line FlatView to the next empty one',
  }),
}));
