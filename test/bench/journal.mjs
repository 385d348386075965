// What the journal costs: the time of an attach and a detach with the journal in memfds to that without one, block by block.
// On a simulated host; in the lab test/kernel/restarts.test.ts asks the same of Linux.
import { fileURLToPath } from "node:url";
import { Host } from "../../dist/host/host.js";
import { SimulatedKernel } from "../../dist/kernel/simulated/simulated-kernel.js";
import { parseTopology } from "../../dist/kernel/simulated/topology-file.js";
import { EventHub } from "../../dist/rpc/event-hub.js";
import { JournalFile } from "../../dist/service/journal-file.js";
import { MemoryFile } from "../../dist/service/memory-file.js";

/** @returns what times an attach and a detach, in microseconds, on a host of its own that holds the device only meanwhile */
function timer(kernel, device, kept) {
  const events = new EventHub(kept);
  const host = new Host(kernel, { observer: (change) => events.publish(change), ...kept });
  const { id } = host.createIoas("default");
  return async (pairs) => {
    await host.hold(device, "default");
    const began = performance.now();
    for (let i = 0; i < pairs; i++) {
      await host.attach(device, id);
      await host.detach(device);
    }
    const took = performance.now() - began;
    await host.release(device);
    return (took / pairs) * 1000;
  };
}

/** Microseconds without and with a journal, and the ratio of the two: medians over blocks of so many pairs. */
export async function benchJournal(kernel, device, { blocks, pairs }) {
  const journal = new JournalFile([MemoryFile.create("a"), MemoryFile.create("b")]);
  const timers = [timer(kernel, device, {}), timer(kernel, device, { journal })];
  const times = [[], []];
  for (let block = -1; block < blocks; block++) {
    for (const [i, time] of timers.entries()) {
      const took = await time(pairs);
      if (block >= 0) times[i].push(took);
    }
  }
  const [without, kept] = times;
  return {
    without: median(without),
    kept: median(kept),
    ratio: median(kept.map((each, i) => each / without[i])),
  };
}

export function inWords({ without, kept, ratio }) {
  return `journal: attach and detach take ${without.toFixed(0)} us without, ${kept.toFixed(0)} us with; paired ${ratio.toFixed(3)}`;
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const device = "0000:00:05.0";
  const topology = {
    iommus: [{ name: "dmar0" }],
    devices: [{ device, iommu: "dmar0", group: 1, driver: "vfio-pci" }],
  };
  const kernel = new SimulatedKernel(parseTopology(topology));
  console.log(inWords(await benchJournal(kernel, device, { blocks: 21, pairs: 200 })));
}
