import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runs } from "../../runs.ts";
import type { Message } from "../stub.ts";
import { chosenDevices, DEVICES, hex, isPci, randomHost, randomLayout, TriedHost } from "./random-host.ts";

const LONG = { timeout: 1_800_000 };
const RUNS = { numRuns: runs(20, 500) };

/** What a hold is refused with, for each blocker. */
const REFUSALS: Readonly<Record<string, string>> = {
  "direct-mapping": "DeviceBlocked",
  "no-isolated-msi": "DeviceBlocked",
  "no-coherent-dma": "DeviceBlocked",
  "no-vfio-driver": "DeviceNotReady",
  "no-cdev": "NotSupported",
  "group-sibling": "DeviceBusy",
  held: "DeviceBusy",
  "in-use": "DeviceBusy",
  "sibling-held": "DeviceBusy",
};
/** No file of the kernel shows them. */
const LEARNT = ["no-isolated-msi", "no-coherent-dma"];

describe("on random hosts", () => {
  it("what is promised of a layout is what the kernel then does", LONG, async () => {
    await fc.assert(
      fc.asyncProperty(randomHost, chosenDevices, randomLayout, async (given, devices, layout) => {
        const tried = await TriedHost.begin(given);
        const checked = await tried.client.ask("check-layout", { layout: wireRanges(layout), devices });
        const predicted = await tried.client.ask("predict-allowed-ranges", { devices });
        expect(predicted.exact).toBe(checked.exact);
        expect(predicted.blockers).toEqual(checked.blockers);

        await tried.empty();
        const { refused } = await tried.attach(devices, layout);
        if (checked.fits && checked.exact) expect(refused).toBe(undefined);
        const isSureNot = !checked.fits && (checked.exact || checked.blockers.length > 0);
        if (isSureNot) expect(refused).not.toBe(undefined);

        const attached = await tried.attach(devices);
        if (predicted.blockers.length > 0) expect(attached.refused).not.toBe(undefined);
        if (!predicted.exact) return;
        const { ranges, alignment } = attached.answer ?? expect.fail(attached.refused);
        expect(predicted.ranges).toEqual(wireRanges([...ranges]));
        expect(predicted["iova-alignment"]).toBe(hex(alignment));
      }),
      RUNS,
    );
  });

  it(
    "a device that is available can be held at once, and another is refused for a reason that was told",
    LONG,
    async () => {
      await fc.assert(
        fc.asyncProperty(randomHost, async (given) => {
          const { client } = await TriedHost.begin(given);
          await client.ask("create-context", { context: "fresh" });
          const blockersOf = async (device: string): Promise<string[]> => {
            const { blockers, available, assignable } = (await client.ask("query-devices", { device }))
              .devices[0];
            expect(available).toBe(blockers.length === 0);
            expect(assignable).toBe(blockers.every(({ transient }: Message) => transient));
            return blockers.map(({ reason }: Message) => reason);
          };
          for (const device of DEVICES) {
            const before = await blockersOf(device);
            const { error } = await client.attempt("hold-device", { device, context: "fresh" });
            if (error === undefined) {
              expect(before.filter((reason) => reason !== "unsupported-page-size")).toEqual([]);
              const { ioas } = await client.ask("create-ioas", { context: "fresh" });
              const attached = await client.attempt("attach-device", { device, ioas });
              if (before.length > 0)
                expect(attached.error.data.blockers).toMatchObject([{ reason: before[0] }]);
              await client.ask("release-device", { device });
              continue;
            }
            const isForeseen = before.some((reason) => REFUSALS[reason] === error.data.class);
            if (!isForeseen && error.data.class === "DeviceBusy") {
              // Of what is not PCI, only a search of /proc tells that it is in use, and that is too dear for every question.
              expect(given.outside.some((taken) => !isPci(taken))).toBe(true);
              expect(error.data.processes).toHaveLength(1);
              continue;
            }
            const evidence: string[] = (error.data.blockers ?? []).map(({ reason }: Message) => reason);
            // Of those nobody but the kernel knew, and now everybody does.
            const known = [...before, ...evidence.filter((reason) => LEARNT.includes(reason))];
            expect(await blockersOf(device)).toEqual(expect.arrayContaining(known));
            expect(known).toEqual(expect.arrayContaining(evidence));
            expect(known.map((reason) => REFUSALS[reason])).toContain(error.data.class);
          }
        }),
        RUNS,
      );
    },
  );
});

function wireRanges(ranges: readonly { readonly start: bigint; readonly last: bigint }[]) {
  return ranges.map((range) => ({ ...range, start: hex(range.start), last: hex(range.last) }));
}
