import { closeSync, openSync } from "node:fs";
import { pino } from "pino";
import { Host } from "./host/host.ts";
import type { DescriptorStore } from "./host/survival/journal.ts";
import { countRestarts } from "./host/survival/restarts.ts";
import { LinuxKernel } from "./kernel/linux/linux-kernel.ts";
import { SimulatedKernel } from "./kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "./kernel/simulated/topology-file.ts";
import { LogSink } from "./log-sink.ts";
import { EventHub } from "./rpc/event-hub.ts";
import { SystemdStore } from "./service/descriptor-store.ts";
import { readEnvironment } from "./service/environment.ts";
import { JournalFile } from "./service/journal-file.ts";
import { MemoryFile } from "./service/memory-file.ts";
import { Supervision } from "./service/supervision.ts";
import { Message } from "./unix/message.ts";

/**
 * Does what a restart under systemd does, on a simulated host that has the device: for V8's code cache, which has what has
 * run. Throws Error where native code cannot be loaded.
 */
export async function rehearse(topology: unknown, device: string): Promise<void> {
  readEnvironment({ LISTEN_PID: "1", LISTEN_FDS: "1" }, 1);
  await log();
  supervise();
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

/** What goes to the journal of systemd, here to nobody. */
async function log(): Promise<void> {
  const nobody = openSync("/dev/null", "w");
  const sink = new LogSink(nobody);
  const logger = pino({ level: "info", base: null }, sink);
  logger.info({ fd: nobody }, "rehearsed");
  logger.warn({ fd: nobody }, "rehearsed");
  await sink.settled(1000);
  closeSync(nobody);
}

/** What systemd is told and given, here nobody. */
function supervise(): void {
  const send = (text: string, fds: readonly number[] = []) => void Message.of(Buffer.from(text), fds).block;
  const offer = (text: string) => {
    send(text);
    return true;
  };
  const notices = { send, offer };
  const supervision = new Supervision(notices, () => "");
  supervision.takeTime();
  supervision.ready({ watchdog: undefined });
  supervision.close();
  const store = new SystemdStore(notices, { size: 1, doubt: () => {} });
  store.begin([]);
  store.put("rehearsed", 0);
}
