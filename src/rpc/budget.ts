import { type HostError, limitExceeded } from "../host/errors.ts";
import type { Limits } from "../limits.ts";

/** What one connection has waiting in the daemon's memory: a line that is partial or waits for its turn, answers, events. */
export class Account {
  readonly uid: number;
  /** Ends the connection, which has more waiting than any other of those that share its limit. */
  readonly cutOff: (reason: HostError) => void;
  readonly #budget: Budget;
  #bytes = 0;

  constructor(budget: Budget, uid: number, cutOff: (reason: HostError) => void) {
    this.#budget = budget;
    this.uid = uid;
    this.cutOff = cutOff;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts so many bytes more, or less when negative. More may cost a connection its life, perhaps this one's. */
  add(bytes: number): void {
    this.#bytes += bytes;
    this.#budget.add(this, bytes);
  }

  /** The connection is over, and with it all that it had waiting. */
  close(): void {
    this.#budget.remove(this);
    this.#bytes = 0;
  }
}

/**
 * Bounds what waits in memory, per user and over all. Who goes beyond costs the user with most its connection with most:
 * a client that reads its answers, ends its lines and sends no large ones side by side has next to nothing here, and never
 * notices.
 */
export class Budget {
  readonly #limits: Limits;
  readonly #accounts = new Map<number, Set<Account>>();
  readonly #users = new Map<number, number>();
  #total = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Over all connections, in bytes. */
  get total(): number {
    return this.#total;
  }

  /** For a new connection of a user; `cutOff` must close it. */
  open(uid: number, cutOff: (reason: HostError) => void): Account {
    const account = new Account(this, uid, cutOff);
    const accounts = this.#accounts.get(uid) ?? new Set();
    this.#accounts.set(uid, accounts.add(account));
    // Of two users with as much, the one that came first.
    this.#count(uid, 0);
    return account;
  }

  /** For Account. */
  add(account: Account, bytes: number): void {
    const { uid } = account;
    if (!this.#accounts.get(uid)?.has(account)) return;
    this.#count(uid, bytes);
    if (bytes <= 0) return;
    const perUid = this.#limits["max-buffered-per-uid"];
    while (this.#of(uid) > perUid) {
      const what = `${perUid} bytes of uid ${uid} wait to be read, completed or answered, and no more are allowed`;
      this.#cutOffLargest(uid, limitExceeded("max-buffered-per-uid", `${what}; ${ADVICE}`));
    }
    const inAll = this.#limits["max-buffered"];
    while (this.#total > inAll) {
      const what = `${inAll} bytes of all clients wait to be read, completed or answered, and no more are allowed`;
      this.#cutOffLargest(this.#greatestUser(), limitExceeded("max-buffered", `${what}; ${ADVICE}`));
    }
  }

  /** For Account. */
  remove(account: Account): void {
    const accounts = this.#accounts.get(account.uid);
    if (!accounts?.delete(account)) return;
    this.#count(account.uid, -account.bytes);
    if (accounts.size > 0) return;
    this.#accounts.delete(account.uid);
    this.#users.delete(account.uid);
  }

  #count(uid: number, bytes: number): void {
    this.#total += bytes;
    this.#users.set(uid, this.#of(uid) + bytes);
  }

  #of(uid: number): number {
    return this.#users.get(uid) ?? 0;
  }

  #greatestUser(): number {
    return [...this.#users].reduce((most, each) => (each[1] > most[1] ? each : most))[0];
  }

  #cutOffLargest(uid: number, reason: HostError): void {
    const accounts = [...(this.#accounts.get(uid) ?? [])];
    const largest = accounts.reduce((most, each) => (each.bytes > most.bytes ? each : most));
    largest.close();
    largest.cutOff(reason);
  }
}

const ADVICE =
  "read the answers and events, end every line, send large ones one after the other, and connect again";
