import koffi from "koffi";

/**
 * Calls `ready` on the event loop whenever the descriptor has something to read, or an error; the caller reads it all,
 * or is called again. Does not keep the process alive. The function that is returned ends it, and comes before close(2).
 * For descriptors that Node.js has no object for: koffi gives its libuv's own poll handle. Throws Error when there is
 * no memory for it.
 */
export function whenReadable(fd: number, ready: () => void): () => void {
  let isWatched = true;
  // The status comes first, whatever koffi's types say. After an error libuv has stopped watching.
  const onEvent = (...[status]: unknown[]) => {
    ready();
    if (Number(status) < 0 && isWatched) handle.start({ readable: true }, onEvent);
  };
  const handle = koffi.node.poll(fd, { readable: true }, onEvent);
  handle.unref();
  return () => {
    isWatched = false;
    handle.close();
  };
}
