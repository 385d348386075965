/** How the caches have done since the start, over all of them. */
export interface CacheCounters {
  /** Answers given without asking the kernel. */
  hits: number;
  /** Answers for which the kernel was asked. */
  misses: number;
  /** Times that kept answers were dropped because something may have changed them. */
  invalidations: number;
}
