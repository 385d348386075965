import { closeSync, constants, mkdtempSync, openSync, realpathSync, rmdirSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ErrnoName } from "../../uapi/errno.ts";
import type { FileUse } from "../kernel.ts";
import { openFiles } from "../linux/open-files.ts";
import { Errno } from "./errno.ts";

/** As sysfs does, for what cannot be part of a name. */
const SLASH = "!";
const FLAGS = constants.O_RDONLY | constants.O_CREAT | constants.O_EXCL;

/**
 * Linux's files that stand for files of a simulated kernel in other processes: empty ones, which answer no ioctl and
 * have no name any more when they are open. In /proc they tell what they stand for.
 */
export class Placeholders {
  readonly #pid: number;
  readonly #open = new Map<number, number>();
  #prefix: string | undefined;

  /** `pid`: of this process, by which its placeholders are told from another's. */
  constructor(pid: number) {
    this.#pid = pid;
  }

  /** The descriptor that stands for `fd`, the same as long as that is open. Throws Errno. */
  of(fd: number, path: string): number {
    const placeholder = this.#open.get(fd) ?? this.#make(path);
    this.#open.set(fd, placeholder);
    return placeholder;
  }

  /** `fd` is closed. Who was sent its placeholder keeps that. */
  close(fd: number): void {
    const placeholder = this.#open.get(fd);
    this.#open.delete(fd);
    if (placeholder !== undefined) closeSync(placeholder);
  }

  /** The files that other processes have open, as far as placeholders stand for them. Reads all of /proc. */
  uses(): FileUse[] {
    if (this.#prefix === undefined) return [];
    return openFiles(this.#prefix).map((use) => ({ ...use, path: pathOf(use.path) }));
  }

  #make(path: string): number {
    try {
      // /proc shows paths without symbolic links.
      this.#prefix ??= join(realpathSync(tmpdir()), `iovad-simulated-${this.#pid}-`);
      const directory = mkdtempSync(this.#prefix);
      const file = join(directory, path.replaceAll("/", SLASH));
      try {
        const fd = openSync(file, FLAGS, 0o400);
        unlinkSync(file);
        return fd;
      } finally {
        rmdirSync(directory);
      }
    } catch (error) {
      throw new Errno((error as { code: ErrnoName }).code);
    }
  }
}

/** Of a link in /proc: `/tmp/iovad-simulated-7-x1Y2z3/!dev!iommu (deleted)`. */
function pathOf(link: string): string {
  const name = link.slice(link.lastIndexOf("/") + 1).replace(/ \(deleted\)$/, "");
  return name.replaceAll(SLASH, "/");
}
