declare module "vitest" {
  interface TaskMeta {
    /** What a test that is skipped here needs. */
    onlyWhere?: string;
  }
}

/** The options of a test, or of a group of them, that some kernels cannot run: the lab's table shows what it needs. */
export function onlyWhere(isSo: boolean, need: string) {
  return { skip: !isSo, meta: { onlyWhere: need } };
}
