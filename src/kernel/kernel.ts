import type { ErrnoName } from "../uapi/errno.ts";

/**
 * A pointer inside an ioctl's struct: the 64-bit word at `offset` is to hold the address of `target`.
 * The adapter fills the word in; the caller never sees an address.
 */
export interface Pointer {
  readonly offset: number;
  readonly target: Uint8Array;
}

/** What the kernel tells of a device: of its own, not of what user space makes of it. */
export interface DeviceEvent {
  /** "add", "remove", "bind", "unbind" …; "lost" when the kernel told more than was listened to. */
  readonly action: string;
  /** Its name in sysfs; VFIO devices have events of their own, as "vfio0". Empty when events were lost. */
  readonly device: string;
}

/** That a process, other than this one, has a file open. */
export interface FileUse {
  /** As /proc shows it. */
  readonly path: string;
  readonly pid: number;
  /** The process's effective user. */
  readonly uid: number;
  /** Its name, of at most 15 bytes, as the process likes it (proc(5): /proc/PID/comm). */
  readonly command: string;
}

/**
 * The port at the system-call boundary: the few calls this daemon makes of a kernel. `linux/` makes them for real,
 * `simulated/` answers the same numbers and the same bytes from memory, so everything above is one code for both.
 *
 * Every method throws SystemCallError (or rejects with it) when the call fails, and nothing else.
 */
export interface Kernel {
  readonly backend: "linux" | "simulated";
  /** The release as uname(2) prints it, e.g. "6.12.0". */
  readonly release: string;

  /** open(2) read-write and close-on-exec; the caller owns the descriptor. */
  open(path: string): number;

  /** Another descriptor of the same open file (F_DUPFD_CLOEXEC): a second owner, who closes it on its own. */
  duplicate(fd: number): number;

  /**
   * The number under which an open file can be sent to another process: its own. A file that exists only here is stood
   * for by one that answers no ioctl, open for as long as the descriptor is.
   */
  passable(fd: number): number;

  /** What device an open node stands for (fstat(2): st_rdev), in sysfs's form: "major:minor". */
  deviceNumber(fd: number): string;

  /**
   * close(2), off the event loop: the last close of a bound VFIO device resets it, which can take seconds.
   * The descriptor is gone when the promise settles, also when it rejects.
   */
  close(fd: number): Promise<void>;

  /**
   * ioctl(2) on the event loop, for commands that never wait for hardware. `argument` is read and written in place; a
   * number is for the few commands that take one instead of a pointer. Returns the call's non-negative result.
   */
  ioctl(fd: number, request: number, argument: Uint8Array | number, ...pointers: Pointer[]): number;

  /**
   * The same off the event loop, for commands that may wait: BIND, ATTACH, DETACH, and anything that could queue
   * behind one of them on a kernel lock. The buffers belong to the call until the promise settles.
   */
  slowIoctl(
    fd: number,
    request: number,
    argument: Uint8Array | number,
    ...pointers: Pointer[]
  ): Promise<number>;

  /**
   * eventfd(2), for the kernel to signal: `signalled` is called, on the event loop, after it has. Until close(); a signal
   * that comes before the event loop has passed on the one before is one with it.
   */
  eventfd(signalled: () => void): number;

  /**
   * From now on until shutdown(), calls `heard` on the event loop after devices, or drivers on them, have come or gone
   * (netlink(7): NETLINK_KOBJECT_UEVENT). What there is now, sysfs tells. A second call ends the
   * first.
   */
  watchDevices(heard: (event: DeviceEvent) => void): void;

  /** The text of a file in sysfs or proc; with latin1, each byte as a character. */
  readFile(path: string, encoding?: "latin1"): string;

  /** The names in a sysfs directory, in no particular order. */
  readDirectory(path: string): string[];

  /** The target of a symbolic link as it stands in the link. */
  readLink(path: string): string;

  /**
   * Which files whose paths begin with `prefix` other processes have open, as far as /proc shows: neither those of other
   * pid namespaces, nor those of processes that this one may not look into. Reads every descriptor of the host, off the
   * event loop; that takes seconds where there are many.
   */
  openFiles(prefix: string): Promise<FileUse[]>;

  /** True when something exists at the path. */
  exists(path: string): boolean;

  /** Waits for slow calls under way and stops the adapter's threads and watch. Open descriptors stay the caller's. */
  shutdown(): Promise<void>;
}

/** A failed system call: which errno and which call. */
export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  /** The errno's name, e.g. "EBUSY". */
  readonly code: ErrnoName;
  /** The system call or ioctl that failed, e.g. "open" or "ioctl 0x3b84". */
  readonly call: string;

  constructor(code: ErrnoName, call: string) {
    super(`${call}: ${code}`);
    this.code = code;
    this.call = call;
  }
}

/** What `calls` gives; undefined when the kernel refuses one of the calls: for what can be done without. */
export function ifPossible<T>(calls: () => T): T | undefined {
  try {
    return calls();
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}
