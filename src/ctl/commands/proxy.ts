import { once } from "node:events";
import { connect } from "node:net";
import { unreachable } from "../../client/faults.ts";
import { defineCommand } from "../command.ts";
import { noMore } from "../need.ts";

export const proxy = defineCommand({
  options: {},
  details: ["What -H runs on the other host: it copies bytes, and knows nothing of what they mean."],
  async run({ args, daemon: { place } }) {
    noMore(args);
    const socket = connect({ path: place, allowHalfOpen: true });
    try {
      await once(socket, "connect");
    } catch (error) {
      throw unreachable({ path: place }, error as Error);
    }
    // A daemon that goes, or a caller that does, is the end and no fault.
    socket.on("error", () => {});
    process.stdin.pipe(socket);
    socket.pipe(process.stdout, { end: false });
    await once(socket, "close");
    process.stdin.destroy();
    return 0;
  },
});
