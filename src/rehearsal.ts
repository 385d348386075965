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

/** What a daemon leaves that is killed. */
export interface Left {
  readonly kernel: SimulatedKernel;
  readonly journal: readonly [MemoryFile, MemoryFile];
  readonly stored: DescriptorStore["inherited"];
}

/** The life of a daemon that holds a device of a simulated host, and has it attached. */
export async function leave(topology: unknown, device: string): Promise<Left> {
  const kernel = new SimulatedKernel(parseTopology(topology));
  const stored: { readonly name: string; readonly fd: number }[] = [];
  const journal = [MemoryFile.create("0"), MemoryFile.create("1")] as const;
  const { host } = await live(kernel, journal, {
    inherited: [],
    put: (name, fd) => void stored.push({ name, fd: kernel.duplicate(fd) }),
    remove: async () => {},
  });
  const { id } = host.createIoas("default");
  await host.hold(device, "default");
  await host.attach(device, id);
  await host.leave();
  return { kernel, journal, stored };
}

/**
 * Does what a restart under systemd does with what a daemon has left: for V8's code cache, which has what has run. Throws
 * Error where native code cannot be loaded.
 */
export async function rehearse({ kernel, journal, stored }: Left): Promise<void> {
  readEnvironment({ LISTEN_PID: "1", LISTEN_FDS: "1" }, 1);
  await log();
  supervise();
  const linux = new Host(new LinuxKernel());
  await linux.look();
  await linux.close();
  const files = journal.map(({ fd }) => new MemoryFile(fd)) as [MemoryFile, MemoryFile];
  const { host, events } = await live(kernel, files, { inherited: stored, put() {}, async remove() {} });
  host.restarted(events.instance, []);
  await host.close();
}

async function live(kernel: SimulatedKernel, files: Left["journal"], store: DescriptorStore) {
  const journal = new JournalFile([...files]);
  const events = new EventHub({ journal });
  const host = new Host(kernel, { observer: (change) => events.publish(change), journal, store });
  await host.takeOver(1);
  countRestarts(journal);
  return { host, events };
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
