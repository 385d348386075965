import { ifPossible, type Kernel } from "../../kernel/kernel.ts";

/** No kernel's configuration is longer, in bytes. */
const MAX_CONFIG = 16 * 1024 * 1024;

/** How the running kernel was configured, from whichever of the usual places tells. */
export class KernelConfig {
  readonly #text: string | null;

  constructor(kernel: Kernel) {
    this.#text = readConfig(kernel);
  }

  /** "y", "m", "n", or null when the configuration is nowhere to be read. `option` is as in "CONFIG_IOMMUFD". */
  get(option: string): "y" | "m" | "n" | null {
    if (this.#text === null) return null;
    // An option whose dependencies are missing is not mentioned at all.
    const value = new RegExp(`^${option}=([ym])$`, "m").exec(this.#text)?.[1];
    return value === "y" || value === "m" ? value : "n";
  }
}

function readConfig(kernel: Kernel): string | null {
  const { release } = kernel;
  for (const path of [`/boot/config-${release}`, `/lib/modules/${release}/config`]) {
    const text = ifPossible(() => kernel.readFile(path));
    if (text !== undefined) return text;
  }
  const compressed = ifPossible(() => kernel.readFile("/proc/config.gz", "latin1"));
  if (compressed === undefined) return null;
  try {
    // Loaded where it is needed: few kernels tell it in this way.
    const { gunzipSync } = process.getBuiltinModule("node:zlib");
    return gunzipSync(Buffer.from(compressed, "latin1"), { maxOutputLength: MAX_CONFIG }).toString();
  } catch {
    return null;
  }
}
