import { Host } from "./host/host.ts";
import type { DescriptorStore } from "./host/survival/journal.ts";
import { countRestarts } from "./host/survival/restarts.ts";
import { LinuxKernel } from "./kernel/linux/linux-kernel.ts";
import { SimulatedKernel } from "./kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "./kernel/simulated/topology-file.ts";
import { EventHub } from "./rpc/event-hub.ts";
import { readEnvironment } from "./service/environment.ts";
import { JournalFile } from "./service/journal-file.ts";
import { MemoryFile } from "./service/memory-file.ts";

/**
 * Does what a restart under systemd does, on a simulated host that has the device: for V8's code cache, which has what has
 * run. Throws Error where native code cannot be loaded.
 */
export async function rehearse(topology: unknown, device: string): Promise<void> {
  readEnvironment({ LISTEN_PID: "1", LISTEN_FDS: "1" }, 1);
  const linux = new Host(new LinuxKernel());
  await linux.look();
  await linux.close();
  const kernel = new SimulatedKernel(parseTopology(topology));
  const files = [MemoryFile.create("0"), MemoryFile.create("1")] as const;
  const stored: { readonly name: string; readonly fd: number }[] = [];
  const live = async (inherited: DescriptorStore["inherited"]) => {
    const journal = new JournalFile(files.map(({ fd }) => new MemoryFile(fd)) as [MemoryFile, MemoryFile]);
    const put = (name: string, fd: number) => void stored.push({ name, fd: kernel.duplicate(fd) });
    const kept = { journal, store: { inherited, put, remove: async () => {} } };
    const events = new EventHub(kept);
    const host = new Host(kernel, { observer: (change) => events.publish(change), ...kept });
    await host.takeOver(1);
    countRestarts(journal);
    return { host, events };
  };
  const { host } = await live([]);
  const { id } = host.createIoas("default");
  await host.hold(device, "default");
  await host.attach(device, id);
  await host.leave();
  const next = await live(stored.slice());
  next.host.restarted(next.events.instance, []);
  await next.host.close();
}
