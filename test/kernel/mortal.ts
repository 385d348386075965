/**
 * A process of the daemon without its sockets, for sigkill.test.ts: plays what it is told by its parent, takes over what the
 * environment says that the service manager has kept, as the daemon does, and dies by its own hand. mortal-bundle.mjs makes
 * one file of it. Arguments: the file that takes what listeners are told, and the cast as JSON.
 */
import { appendFileSync } from "node:fs";
import { LinuxKernel } from "../../src/kernel/linux/linux-kernel.ts";
import { toWireEvent } from "../../src/rpc/events.ts";
import { readEnvironment } from "../../src/service/environment.ts";
import { openKeep } from "../../src/service/service.ts";
import { type Player, Stage } from "../host/survival/stage.ts";

/** What the parent asks, and what it gets. */
export interface Order {
  readonly method: keyof Player;
  readonly args: readonly unknown[];
}
export type Report = { readonly result: unknown } | { readonly error: string };

/** Its threads are there for one life after the other: starting them takes seconds in an emulated machine. */
class StayingKernel extends LinuxKernel {
  override async shutdown(): Promise<void> {}
}

const [heard = "", cast = ""] = process.argv.slice(2);
// Its parent cannot know its number before it is there.
const environment = readEnvironment({ ...process.env, LISTEN_PID: String(process.pid) }, process.pid);
const keep = openKeep(environment, (what) => {
  throw new Error(what);
});
let { inherited } = keep.store;

const stage: Player = new Stage(
  {
    kernel: new StayingKernel(),
    storages: keep.files,
    openStore() {
      const store = { ...keep.store, inherited };
      inherited = [];
      return store;
    },
    hear(changes) {
      const events = changes.map((change) => ({ method: change.event, params: toWireEvent(change) }));
      const lines = events.filter(({ params }) => params).map((event) => `${JSON.stringify(event)}\n`);
      appendFileSync(heard, lines.join(""));
    },
    kill: () => void process.kill(process.pid, "SIGKILL"),
  },
  JSON.parse(cast),
);

process.on("message", async ({ method, args }: Order) => {
  const play = stage[method] as (...args: readonly unknown[]) => Promise<unknown>;
  const report = await play.call(stage, ...args).then(
    (result): Report => ({ result }),
    (error): Report => ({ error: String(error?.stack ?? error) }),
  );
  process.send?.(report);
});
