import assert from "node:assert/strict";
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it, vi } from "vitest";
import { SystemdStore } from "../../src/service/descriptor-store.ts";
import { NotifySocket } from "../../src/service/notify-socket.ts";
import { Supervision } from "../../src/service/supervision.ts";
import { ServiceManager } from "./service-manager.ts";

let directory: string;
let manager: ServiceManager;
let notices: NotifySocket;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-notify-"));
  manager = new ServiceManager(join(directory, "notify"));
  notices = new NotifySocket(join(directory, "notify"));
});

afterEach(() => {
  notices.close();
  manager.close();
  rmSync(directory, { recursive: true });
});

describe("notices", () => {
  it("go to a path, or to an abstract name", async () => {
    const name = `@${join(directory, "abstract")}`;
    const abstract = new ServiceManager(name);
    const socket = new NotifySocket(name);
    socket.send("READY=1");
    await abstract.heard("READY=1");
    socket.close();
    abstract.close();
    assert.deepEqual(abstract.notices, ["READY=1"]);
  });

  it("cannot be sent where nobody listens, and the error names the path", () => {
    assert.throws(() => new NotifySocket(join(directory, "nobody")), /nobody: ENOENT/);
  });

  it("tell that the service is ready, with its status, and give signs of life from then on", async () => {
    const supervision = new Supervision(notices, () => "2 devices held");
    supervision.ready({ watchdog: 2000 });
    await manager.heard("WATCHDOG=1");
    supervision.close();
    assert.equal(manager.notices[0], "READY=1\nSTATUS=2 devices held");
  });

  it("without a watchdog there are no signs of life", async () => {
    const supervision = new Supervision(notices, () => "");
    supervision.ready({ watchdog: undefined });
    supervision.stopping();
    await manager.heard("EXTEND_TIMEOUT_USEC=");
    supervision.close();
    assert.deepEqual(
      manager.notices.map((notice) => notice.split("\n")[0]),
      ["READY=1", "STOPPING=1", "EXTEND_TIMEOUT_USEC=30000000"],
    );
  });

  it("stand around a reload, also one that fails", async () => {
    const supervision = new Supervision(notices, () => "");
    const fail = () => {
      throw new Error("no such file");
    };
    assert.throws(() => supervision.reload(fail), /no such file/);
    await manager.heard("READY=1");
    assert.match(manager.notices[0] ?? "", /^RELOADING=1\nMONOTONIC_USEC=\d+$/);
  });

  it("tell of a status again that there was no room for", (context) => {
    vi.useFakeTimers();
    context.onTestFinished(() => void vi.useRealTimers());
    const told: string[] = [];
    let hasRoom = true;
    const offer = (text: string) => {
      if (hasRoom) told.push(text);
      return hasRoom;
    };
    let status = "no devices held";
    const supervision = new Supervision({ send: () => {}, offer }, () => status);
    supervision.ready({ watchdog: undefined });
    status = "1 device held";
    hasRoom = false;
    vi.advanceTimersToNextTimer();
    hasRoom = true;
    vi.advanceTimersToNextTimer();
    vi.advanceTimersToNextTimer();
    supervision.close();
    assert.deepEqual(told, ["STATUS=1 device held"]);
  });

  it("keep neither a reload nor the end from going on when whoever supervised has gone", () => {
    const supervision = new Supervision(notices, () => "");
    manager.close();
    let reloads = 0;
    supervision.reload(() => reloads++);
    supervision.stopping();
    supervision.close();
    assert.equal(reloads, 1);
    manager = new ServiceManager(join(directory, "notify"));
  });
});

describe("the descriptor store", () => {
  it("keeps an open file under its name, also when the process has closed it", async () => {
    const store = new SystemdStore(notices);
    const fd = openSync("/dev/null", "r");
    const { rdev } = fstatSync(fd);
    store.put("device-0000%3A00%3A05.0", fd);
    closeSync(fd);
    await manager.heard("FDSTORE=1");
    assert.equal(manager.notices[0], "FDSTORE=1\nFDPOLL=0\nFDNAME=device-0000%3A00%3A05.0");
    assert.deepEqual(
      manager.store.map(({ name, fd }) => [name, fstatSync(fd).rdev]),
      [["device-0000%3A00%3A05.0", rdev]],
    );
  });

  it("has let go of a file before a removal is done", async () => {
    const store = new SystemdStore(notices);
    const fd = openSync("/dev/null", "r");
    for (const name of ["a", "b"]) store.put(name, fd);
    closeSync(fd);
    manager.sleep();
    let isDone = false;
    const removed = store.remove("a").then(() => {
      isDone = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isDone, false);
    manager.wake();
    await removed;
    assert.deepEqual(
      manager.store.map(({ name }) => name),
      ["b"],
    );
    assert.equal(manager.notices.at(-1), "BARRIER=1");
  });

  it("is not asked to remove what it was not given, but what it has from an earlier life", async () => {
    const store = new SystemdStore(notices);
    await store.remove("a");
    assert.deepEqual(manager.notices, []);
    store.begin(["a"]);
    await store.remove("a");
    assert.deepEqual(manager.notices, ["FDSTOREREMOVE=1\nFDNAME=a", "BARRIER=1"]);
  });

  it("that does not answer is not waited for without end, and that is told", async () => {
    const doubts: string[] = [];
    const store = new SystemdStore(notices, { patience: 1, doubt: (what) => doubts.push(what) });
    store.begin(["a"]);
    manager.sleep();
    await store.remove("a");
    assert.match(doubts.join(), /systemd does not answer/);
    manager.wake();
  });

  it("whose room is known tells what it cannot keep", () => {
    const doubts: string[] = [];
    const store = new SystemdStore(notices, { size: 1, doubt: (what) => doubts.push(what) });
    const fd = openSync("/dev/null", "r");
    store.put("a", fd);
    assert.deepEqual(doubts, []);
    store.put("b", fd);
    closeSync(fd);
    assert.match(doubts.join(), /room for 1/);
  });
});
