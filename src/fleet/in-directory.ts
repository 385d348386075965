import { mkdir } from "node:fs/promises";

/**
 * What `make` makes in a directory, which is made where it is missing: only the last of its path, since what lies above may
 * be a file system that is yet to be mounted.
 */
export async function inDirectory<T>(directory: string, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if (!isMissing(error)) throw error;
    await mkdir(directory);
    return make();
  }
}

export function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}
