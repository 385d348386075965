import { kernelError } from "../failures.ts";
import type { CacheCounters } from "../knowledge/cache-counters.ts";
import type { Context } from "./context.ts";
import { Ioas } from "./ioas.ts";

/** Ids in a row that are no IOAS before a search for others' ends: devices and page tables have ids, too. */
export const PATIENCE = 64;
/** No search goes further: each id costs a system call. */
const LAST_ID = 4096;

/**
 * The IO address spaces that other holders of a shared context's iommufd have made. Their ids are small, for the kernel
 * gives the smallest that is free (`drivers/iommu/iommufd/main.c: _iommufd_object_alloc`). Who holds the lock of one
 * nobody knows, so the questions are asked off the event loop. Rejects with HostError KernelError.
 */
export async function discover(context: Context, counters: CacheCounters): Promise<Ioas[]> {
  if (!context.shared || context.isClosing) return [];
  return context.run(() =>
    context.slowReads.read("all that there are", true, () => search(context, counters)),
  );
}

async function search(context: Context, counters: CacheCounters): Promise<Ioas[]> {
  const iommufd = context.open();
  const found: Ioas[] = [];
  const isAnothers = async (id: number) => !context.ioases.has(id) && (await iommufd.hasIoas(id));
  for (let id = 1, last = PATIENCE; id <= last && !context.isClosing; id++) {
    const isNew = await isAnothers(id).catch((error) => {
      throw kernelError(error, "IOMMU_IOAS_IOVA_RANGES");
    });
    if (context.ioases.has(id)) last = id + PATIENCE;
    else if (isNew) {
      found.push(new Ioas(id, iommufd, context, counters));
      last = id + PATIENCE;
    }
    if (last > LAST_ID) last = LAST_ID;
  }
  return found;
}
