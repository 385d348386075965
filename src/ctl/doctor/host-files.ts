import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";

/** What this host shows of itself in files. What cannot be read is as if it were not there. */
export class HostFiles {
  readonly #root: string;

  /** `root`: where the host's / is. */
  constructor(root = "/") {
    this.#root = root;
  }

  exists(path: string): boolean {
    return existsSync(join(this.#root, path));
  }

  /** Without the blanks around it. */
  read(path: string): string | undefined {
    return attempt(() => readFileSync(join(this.#root, path), "utf8").trim());
  }

  /** Sorted. */
  list(path: string): string[] {
    return attempt(() => readdirSync(join(this.#root, path)).sort()) ?? [];
  }

  /** The last part of what a link points to: of a device's `driver`, the driver's name. */
  linkName(path: string): string | undefined {
    const target = this.link(path);
    return target === undefined ? undefined : basename(target);
  }

  link(path: string): string | undefined {
    return attempt(() => readlinkSync(join(this.#root, path)));
  }

  /** `uid 0, gid 36, mode 660`. */
  permissions(path: string): string | undefined {
    const stat = attempt(() => statSync(join(this.#root, path)));
    return stat && `uid ${stat.uid}, gid ${stat.gid}, mode ${(stat.mode & 0o777).toString(8)}`;
  }

  get release(): string {
    return this.read("/proc/sys/kernel/osrelease") ?? "";
  }

  /** How the kernel was built: "y", "m", "n", or undefined when it does not tell. `option` as in "CONFIG_IOMMUFD". */
  config(option: string): string | undefined {
    const text = this.#configText();
    if (text === undefined) return undefined;
    return new RegExp(`^${option}=([ym])$`, "m").exec(text)?.[1] ?? "n";
  }

  #configText(): string | undefined {
    const plain =
      this.read(`/boot/config-${this.release}`) ?? this.read(`/lib/modules/${this.release}/config`);
    return plain ?? attempt(() => gunzipSync(readFileSync(join(this.#root, "/proc/config.gz"))).toString());
  }
}

function attempt<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
