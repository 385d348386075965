import { AckPolicy, DeliverPolicy, type JetStreamClient, type JsMsg } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { Queue } from "./queue.ts";
import type { StoreChange } from "./store.ts";

/** What tells that the server has lost the thread of a watch. */
const LOST: ReadonlySet<string> = new Set([
  "heartbeats_missed",
  "stream_not_found",
  "consumer_not_found",
  "consumer_deleted",
  "ordered_consumer_recreated",
]);

/**
 * What there is in a bucket and what changes, until the thread is lost, the signal, or whoever calls what `cut` is given.
 * Not the client's own watch of a bucket: that one goes on in silence when what it had told is no longer true.
 * @param cut is given what ends this from outside, and gives back how to forget that
 */
export async function* watchBucket(
  jetstream: JetStreamClient,
  bucket: string,
  signal: AbortSignal,
  cut: (end: () => void) => () => void,
): AsyncIterable<StoreChange> {
  const prefix = `$KV.${bucket}.`;
  const manager = await jetstream.jetstreamManager(false);
  const { state } = await manager.streams.info(`KV_${bucket}`, { subjects_filter: `${prefix}>` });
  // Neither by what the server (2.9) counts as pending, where what is put again before it is told counts twice for ever;
  // nor by the place in the stream, for that has then gone behind what was the newest.
  const untold = new Set(Object.keys(state.subjects ?? {}));
  const consumer = await jetstream.consumers.getPushConsumer(`KV_${bucket}`, {
    filter_subjects: `${prefix}>`,
    deliver_policy: DeliverPolicy.LastPerSubject,
    ack_policy: AckPolicy.None,
    flow_control: true,
    idle_heartbeat: nanos(2000),
  } as Parameters<JetStreamClient["consumers"]["getPushConsumer"]>[1]);
  const info = await consumer.info(true);
  const queue = new Queue<StoreChange>(signal);
  let isSettled = false;
  let pending = info.num_pending;
  const settle = () => {
    if (!isSettled) queue.push({ kind: "settled" });
    isSettled = true;
  };
  if (untold.size === 0) settle();
  const messages = await consumer.consume({
    callback: (message: JsMsg) => {
      queue.push(changeOf(message, message.subject.slice(prefix.length)));
      pending = message.info.pending;
      untold.delete(message.subject);
      if (untold.size === 0) settle();
    },
  });
  const end = () => queue.end();
  const forget = cut(end);
  void (async () => {
    for await (const { type } of messages.status()) {
      if (LOST.has(type)) end();
      // Nothing more is to come: what is still untold has been purged since.
      if (type === "heartbeat" && pending === 0) settle();
    }
    end();
  })();
  try {
    yield { kind: "begin", now: new Date(info.created).getTime() };
    yield* queue;
  } finally {
    forget();
    messages.stop();
  }
}

function changeOf(message: JsMsg, host: string): StoreChange {
  const operation = message.headers?.get("KV-Operation");
  if (operation === "DEL" || operation === "PURGE") return { kind: "gone", host };
  return { kind: "host", host, text: message.string(), stored: message.info.timestampNanos / 1e6 };
}
