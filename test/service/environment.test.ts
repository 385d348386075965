import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { forgetEnvironment, readEnvironment } from "../../src/service/environment.ts";
import { listenersAmong } from "../../src/service/listeners.ts";

describe("what systemd tells a service by its environment", () => {
  it("is nothing where nobody supervises it", () => {
    assert.deepEqual(readEnvironment({}, 7), {
      notifySocket: undefined,
      watchdog: undefined,
      storeSize: undefined,
      inherited: [],
    });
  });

  it("are sockets first and stored descriptors behind them, by name", () => {
    const environment = { LISTEN_PID: "7", LISTEN_FDS: "3", LISTEN_FDNAMES: "iovad.socket:context-guest:" };
    assert.deepEqual(readEnvironment(environment, 7).inherited, [
      { name: "iovad.socket", fd: 3 },
      { name: "context-guest", fd: 4 },
      { name: "unknown", fd: 5 },
    ]);
  });

  it("does not count when another process is meant", () => {
    const environment = { LISTEN_PID: "8", LISTEN_FDS: "1", WATCHDOG_PID: "8", WATCHDOG_USEC: "1000000" };
    const { inherited, watchdog } = readEnvironment(environment, 7);
    assert.deepEqual({ inherited, watchdog }, { inherited: [], watchdog: undefined });
  });

  it("has the watchdog's time, and the room in the store, where they are on", () => {
    const environment = { WATCHDOG_PID: "7", WATCHDOG_USEC: "2000000", FDSTORE: "512", NOTIFY_SOCKET: "@n" };
    const { watchdog, storeSize, notifySocket } = readEnvironment(environment, 7);
    assert.deepEqual(
      { watchdog, storeSize, notifySocket },
      { watchdog: 2e6, storeSize: 512, notifySocket: "@n" },
    );
  });

  it("is nothing that a child gets", () => {
    const environment = {
      LISTEN_PID: "7",
      LISTEN_FDS: "1",
      LISTEN_FDNAMES: "x",
      WATCHDOG_USEC: "1",
      PATH: "/",
    };
    forgetEnvironment(environment);
    assert.deepEqual(environment, { PATH: "/" });
  });
});

it("a listening socket is known by the name of its unit, or by the one that the unit gives it", () => {
  const names = ["iovad.socket", "qmp", "context-guest", "iovad-metrics.socket", "constructor"];
  const inherited = names.map((name, i) => ({ name, fd: 3 + i }));
  assert.deepEqual(listenersAmong(inherited), [
    { name: "iovad.socket", fd: 3, speech: "json-rpc" },
    { name: "qmp", fd: 4, speech: "qmp" },
    { name: "iovad-metrics.socket", fd: 6, speech: "metrics" },
  ]);
});
