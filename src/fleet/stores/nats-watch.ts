import { AckPolicy, DeliverPolicy, type JetStreamClient, type JsMsg } from "@nats-io/jetstream";
import { HOST_NAME } from "../record.ts";
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

/** Milliseconds between two looks at what is still untold: the client's own heartbeats come every 30 s, and not to the busy. */
const LOOK = 2000;
/** After so many of them without a word in between the server is taken to have lost the thread. */
const PATIENCE = 3;

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
  const subjects = async () => {
    const { state } = await manager.streams.info(`KV_${bucket}`, { subjects_filter: `${prefix}>` });
    return new Set(Object.keys(state.subjects ?? {}));
  };
  // Neither by what the server (2.9) counts as pending, where what is put again before it is told counts twice for ever;
  // nor by the place in the stream, for that has then gone behind what was the newest.
  const untold = await subjects();
  const consumer = await jetstream.consumers.getPushConsumer(`KV_${bucket}`, {
    filter_subjects: `${prefix}>`,
    deliver_policy: DeliverPolicy.LastPerSubject,
    ack_policy: AckPolicy.None,
    flow_control: true,
  } as Parameters<JetStreamClient["consumers"]["getPushConsumer"]>[1]);
  const info = await consumer.info(true);
  const queue = new Queue<StoreChange>(signal);
  let isSettled = false;
  /** Looks since something has come. */
  let inVain = 0;
  const settle = () => {
    if (!isSettled) queue.push({ kind: "settled" });
    isSettled = true;
  };
  if (untold.size === 0) settle();
  const messages = await consumer.consume({
    callback: (message: JsMsg) => {
      const host = message.subject.slice(prefix.length);
      // As in a directory, what else is there is no host's.
      if (HOST_NAME.test(host)) queue.push(changeOf(message, host));
      inVain = 0;
      untold.delete(message.subject);
      if (untold.size === 0) settle();
    },
  });
  const end = () => queue.end();
  const forget = cut(end);
  /** What is still untold may have been purged since. */
  const look = async () => {
    if (isSettled) return;
    const there = await subjects();
    for (const subject of untold) if (!there.has(subject)) untold.delete(subject);
    if (untold.size === 0) settle();
    else if (++inVain > PATIENCE) end();
  };
  const clock = setInterval(() => look().catch(end), LOOK);
  void (async () => {
    for await (const { type } of messages.status()) {
      if (LOST.has(type)) end();
    }
    end();
  })();
  try {
    yield { kind: "begin", now: new Date(info.created).getTime() };
    yield* queue;
  } finally {
    clearInterval(clock);
    forget();
    messages.stop();
  }
}

function changeOf(message: JsMsg, host: string): StoreChange {
  const operation = message.headers?.get("KV-Operation");
  if (operation === "DEL" || operation === "PURGE") return { kind: "gone", host };
  return { kind: "host", host, text: message.string(), stored: message.info.timestampNanos / 1e6 };
}
