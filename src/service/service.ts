import type { DescriptorStore, Journal } from "../host/survival/journal.ts";
import { SystemdStore } from "./descriptor-store.ts";
import type { Inherited, ServiceEnvironment } from "./environment.ts";
import { JournalFile } from "./journal-file.ts";
import { listenersAmong } from "./listeners.ts";
import { MemoryFile } from "./memory-file.ts";
import { NotifySocket } from "./notify-socket.ts";

/** Where systemd keeps what is to outlive the process. */
export interface Keep {
  readonly notices: NotifySocket;
  /** Of the journal. */
  readonly files: readonly [MemoryFile, MemoryFile];
  readonly store: DescriptorStore;
}

/** What systemd does for the daemon, once it is there. */
export interface Service extends Pick<Keep, "notices" | "store"> {
  readonly journal: Journal;
}

/** The names in the store of the two files of the journal. */
const JOURNALS = ["journal-0", "journal-1"] as const;

/** `doubt`: told, for the log, what may not be kept. Throws Error when systemd cannot be reached. */
export function openKeep(
  { notifySocket = "", storeSize, inherited }: ServiceEnvironment,
  doubt: (what: string) => void,
): Keep {
  const notices = new NotifySocket(notifySocket);
  const systemd = new SystemdStore(notices, { size: storeSize, doubt });
  const listeners = new Set(listenersAmong(inherited).map(({ fd }) => fd));
  const stored = inherited.filter(({ fd }) => !listeners.has(fd));
  systemd.begin(stored.map(({ name }) => name));
  const isJournal = ({ name }: Inherited) => JOURNALS.some((each) => each === name);
  return {
    notices,
    files: [journalFile(JOURNALS[0], stored, systemd), journalFile(JOURNALS[1], stored, systemd)],
    store: {
      inherited: stored.filter((each) => !isJournal(each)),
      put: (name, fd) => systemd.put(name, fd),
      remove: (name) => systemd.remove(name),
    },
  };
}

/** As openKeep(), with what an earlier process has left in the journal. */
export function openService(environment: ServiceEnvironment, doubt: (what: string) => void): Service {
  const { notices, files, store } = openKeep(environment, doubt);
  const journal = new JournalFile(files);
  if (journal.isTorn) doubt("the last entry of an earlier process is cut short, and was not acted upon");
  return { notices, journal, store };
}

/** They are in the store from the first moment on, and go with what they tell of. */
function journalFile(name: string, stored: readonly Inherited[], store: SystemdStore): MemoryFile {
  const found = stored.find((each) => each.name === name);
  if (found) return new MemoryFile(found.fd);
  const file = MemoryFile.create(`iovad-${name}`);
  store.put(name, file.fd);
  return file;
}
