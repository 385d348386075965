// What the journal costs: processor time of an attach and a detach on a simulated host, with the journal in memfds to that
// without one, block by block; and of what a change of state writes to it.

import { Host } from "../../dist/host/host.js";
import { SimulatedKernel } from "../../dist/kernel/simulated/simulated-kernel.js";
import { parseTopology } from "../../dist/kernel/simulated/topology.js";
import { EventHub } from "../../dist/rpc/event-hub.js";
import { JournalFile } from "../../dist/service/journal-file.js";
import { MemoryFile } from "../../dist/service/memory-file.js";

const DEVICE = "0000:00:05.0";
const TOPOLOGY = {
  kernel: {},
  iommus: [{ name: "dmar0" }],
  devices: [{ device: DEVICE, iommu: "dmar0", group: 1, driver: "vfio-pci" }],
};
const [BLOCKS, PAIRS] = [21, 200];

async function begin(kept) {
  const events = new EventHub(kept);
  const host = new Host(new SimulatedKernel(parseTopology(TOPOLOGY)), {
    observer: (change) => events.publish(change),
    ...kept,
  });
  const { id } = host.createIoas("default");
  await host.hold(DEVICE, "default");
  return async () => {
    const before = process.cpuUsage();
    for (let i = 0; i < PAIRS; i++) {
      await host.attach(DEVICE, id);
      await host.detach(DEVICE);
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / PAIRS;
  };
}

const plain = await begin({});
const kept = await begin({ journal: new JournalFile([MemoryFile.create("a"), MemoryFile.create("b")]) });
const times = [[], []];
for (let block = 0; block < BLOCKS; block++) {
  times[0].push(await plain());
  times[1].push(await kept());
}
const ratios = times[1].map((time, i) => time / times[0][i]);
const [without, withJournal] = times.map(median);
console.log(
  `journal: attach and detach take ${without.toFixed(0)} us without, ${withJournal.toFixed(0)} us with; paired ${median(ratios).toFixed(2)}`,
);

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}
