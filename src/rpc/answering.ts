import type { Socket } from "node:net";
import { monotonic } from "../clock.ts";
import type { Account } from "./budget.ts";
import type { Deliveries } from "./delivery.ts";
import type { DialectCall } from "./dialect.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Line } from "./framing.ts";
import { type LineTurns, SMALL, type Turn } from "./line-turns.ts";
import type { Outbox } from "./outbox.ts";
import { type Text, whole } from "./text.ts";

/** What answers go through; and where what they are made of is. */
export interface AnsweringParts {
  readonly socket: Socket;
  readonly call: DialectCall;
  readonly dispatcher: Dispatcher;
  readonly account: Account;
  readonly turns: LineTurns;
  readonly outbox: Outbox;
  readonly deliveries: Deliveries;
}

/**
 * The requests of one connection: executed one after the other and answered in order. Nothing is read while an answer
 * waits to be taken, so a client that does not read stops only itself.
 */
export class Answering {
  readonly #parts: AnsweringParts;
  readonly #onAnswered: (() => void)[] = [];
  /** Between the first and the last request of a chunk, also while one of them has to wait. */
  #isBusy = false;
  /** From when on requests that have come and not begun are dropped, in milliseconds of monotonic(). */
  #endsAt = Number.POSITIVE_INFINITY;
  /** What comes when the last request of an end has been answered. */
  #whenDone = () => {};
  /** Of the large line under way. */
  #turn: Turn | undefined;
  /** Bytes of the answers of a batch so far. */
  #inBatch = 0;

  constructor(parts: AnsweringParts) {
    this.#parts = parts;
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  onceAnswered(callback: () => void): void {
    this.#onAnswered.push(callback);
  }

  /**
   * Answers the lines of a chunk, cut portion by portion, and resolves when there is room for more; never rejects. Between
   * two calls the one before must have settled.
   */
  async all(portions: Iterable<readonly Line[]>): Promise<void> {
    const { call, outbox } = this.#parts;
    const { slice } = call;
    this.#isBusy = true;
    outbox.gather();
    const cutting = portions[Symbol.iterator]();
    let count = 0;
    for (;;) {
      // Cutting is work, too: when a thousand chunks have come in one turn, others must not wait for all of it.
      if (slice.isOver) await this.#pause(slice.pass());
      if (this.#isToStop()) break;
      const { value: lines, done } = cutting.next();
      if (done) break;
      await this.#some(lines, count);
      count += lines.length;
    }
    slice.rest();
    outbox.release();
    if (outbox.isFull) await this.#pause(this.#drained());
    outbox.release();
    this.#isBusy = false;
    this.#whenDone();
    this.resume();
  }

  /** `before`: how many of the chunk there were. */
  async #some(lines: readonly Line[], before: number): Promise<void> {
    const { call, dispatcher, outbox, deliveries } = this.#parts;
    const { slice, limits } = call;
    const inFlight = limits["max-in-flight"] - before;
    for (let index = 0; index < lines.length; index++) {
      const line = lines[index] as Line;
      // Before the first it was looked when they were to be cut.
      if (index > 0 && slice.isOver) await this.#pause(slice.pass());
      if (this.#isToStop()) return;
      const answer = index < inFlight ? this.#answer(line) : dispatcher.refuse(line, call);
      const settled = answer instanceof Promise ? await this.#pause(answer) : answer;
      // Events that a request has caused come before its answer, and what begins with the answer after it.
      for (const lines of call.events.takeFor(call.connection)) {
        outbox.send(lines);
        if (slice.isOver) await this.#pause(slice.pass());
      }
      if (deliveries.arePending) await this.#pause(this.#sendDescriptors(settled));
      else if (settled !== undefined) outbox.send(settled);
      if (this.#onAnswered.length > 0) for (const callback of this.#onAnswered.splice(0)) callback();
      if (outbox.isFull) await this.#pause(this.#drained());
    }
  }

  /** Reads on, unless nothing more is to be answered. */
  resume(): void {
    const { socket } = this.#parts;
    if (!this.#isOver && socket.isPaused()) socket.resume();
  }

  /**
   * Nothing more waits for the client, and what has come and not begun `at` a time of monotonic() is dropped. Calls
   * `done` once when nothing is under way.
   */
  finish(at: number, done: () => void): void {
    this.#whenDone = done;
    this.#stopAt(at);
    if (!this.#isBusy) done();
  }

  /** All events that the client has not been sent, at once. */
  sendEvents(): void {
    const { call, outbox } = this.#parts;
    for (const lines of call.events.takeFor(call.connection)) outbox.send(lines);
  }

  /** Drops what has come and not begun. */
  stop(): void {
    this.#stopAt(Number.NEGATIVE_INFINITY);
    if (this.#turn) this.#parts.turns.leave(this.#turn);
  }

  #stopAt(at: number): void {
    this.#endsAt = at;
    this.#parts.outbox.wake();
    this.#parts.deliveries.stopWaiting();
  }

  /** Waits, and lets neither answers nor notifications wait with it. Nothing is read meanwhile. */
  async #pause<T>(promise: Promise<T>): Promise<T> {
    const { socket, outbox } = this.#parts;
    socket.pause();
    outbox.release();
    const result = await promise;
    outbox.gather();
    return result;
  }

  #answer(line: Line): ReturnType<Dispatcher["answer"]> {
    if (typeof line !== "string" || line.length <= SMALL) return this.#answerNow(line);
    return this.#answerInTurn(line, line.length);
  }

  #answerNow(line: Line): ReturnType<Dispatcher["answer"]> {
    const { dispatcher, call } = this.#parts;
    const answer = dispatcher.answer(line, call, this.#countInBatch);
    if (!(answer instanceof Promise)) return answer;
    return answer.finally(() => this.#countInBatch(-this.#inBatch));
  }

  /** It waits for its turn, and counts meanwhile as what waits does. Nothing when nobody wants to know any more. */
  async #answerInTurn(line: Line, size: number): Promise<Text | undefined> {
    const { account, call, turns } = this.#parts;
    account.add(size);
    const turn = turns.take(account.uid, size);
    this.#turn = turn;
    // Counting it may have ended this very connection.
    if (this.#isPast) turns.leave(turn);
    await turn.begun;
    try {
      // All that fit beside each other have begun in the same moment, and behind each that is short the next.
      if (!this.#isToStop() && call.slice.isOver) await call.slice.pass();
      return this.#isToStop() ? undefined : await this.#answerNow(line);
    } finally {
      this.#turn = undefined;
      turns.end(turn);
      account.add(-size);
    }
  }

  /** Answers of a batch wait for its last one. False when no more are wanted, for which counting them may be the reason. */
  readonly #countInBatch = (bytes: number): boolean => {
    if (bytes !== 0) {
      this.#inBatch += bytes;
      this.#parts.account.add(bytes);
    }
    return !this.#isPast;
  };

  /** They go past the outbox: what comes before them has to have left it, the request's own events for one. */
  async #sendDescriptors(answer: Text | undefined): Promise<void> {
    const { call, outbox, deliveries } = this.#parts;
    outbox.release();
    if (outbox.isFull) await this.#drained();
    if (this.#isOver) deliveries.stopWaiting();
    await deliveries.send(answer && whole(answer) + call.connection.dialect.lineEnd);
  }

  #drained(): Promise<void> {
    return this.#parts.outbox.drained(() => !this.#isOver);
  }

  /** Before the next request: a session that ends answers on for a while, but does not wait for the client to read. */
  #isToStop(): boolean {
    const { outbox } = this.#parts;
    return this.#isPast || (this.#isEnding && outbox.isFull);
  }

  get #isPast(): boolean {
    return this.#parts.socket.destroyed || (this.#isEnding && monotonic() > this.#endsAt);
  }

  get #isEnding(): boolean {
    return this.#endsAt !== Number.POSITIVE_INFINITY;
  }

  get #isOver(): boolean {
    return this.#isEnding || this.#parts.socket.destroyed;
  }
}
