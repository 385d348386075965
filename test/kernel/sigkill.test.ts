import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll } from "vitest";
import { contextFile, deviceFile } from "../../src/host/survival/journal.ts";
import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  vfio_device_attach_iommufd_pt,
  vfio_device_detach_iommufd_pt,
} from "../../src/uapi/vfio.ts";
import { cdevOf, DEVICES, kernelUnderTest, SIBLINGS } from "../conformance/kernel-under-test.ts";
import type { Cast } from "../host/survival/cases.ts";
import { type Ground, killInEveryCall } from "../host/survival/matrix.ts";
import { filesOf, type Model, type Player } from "../host/survival/stage.ts";
import { ServiceManager } from "../service/service-manager.ts";
import { openDevices } from "./guest.ts";
import type { Order, Report } from "./mortal.ts";
import { readRanges } from "./raw-ranges.ts";

/** Made by lab.sh. */
const MORTAL = "/run/lab/mortal.mjs";
const CAST: Cast = { nic: SIBLINGS[1], sibling: SIBLINGS[2], gpu: DEVICES[0] };
/** More objects than a case makes in a context, and more ranges than an IOAS has. */
const [LAST_ID, ROOM] = [24, 8];

const { kernel } = await kernelUnderTest();
const directory = mkdtempSync("/tmp/sigkill-");
const heard = join(directory, "heard");
const PLAYER: readonly (keyof Player)[] = [
  ...(["takeOver", "furnish", "perform", "performOther", "resume"] as const),
  ...(["snapshot", "generations", "model", "close"] as const),
];

/** A process of its own, whose store is this one's. */
class Process {
  readonly player: Player;
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown[]>;

  /** `stored`: as systemd passes it, which is why the parent's descriptors are the child's from 3 on. */
  constructor(notifySocket: string, stored: ServiceManager["store"]) {
    const env = {
      ...process.env,
      NOTIFY_SOCKET: notifySocket,
      LISTEN_FDS: String(stored.length),
      LISTEN_FDNAMES: stored.map(({ name }) => name).join(":"),
    };
    this.#child = spawn(process.execPath, [MORTAL, heard, JSON.stringify(CAST)], {
      env,
      stdio: ["ignore", "inherit", "inherit", ...stored.map(({ fd }) => fd), "ipc"],
    });
    this.#exit = once(this.#child, "exit");
    const calls = PLAYER.map((method) => [method, (...args: unknown[]) => this.#order({ method, args })]);
    this.player = Object.fromEntries(calls);
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async end(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exit;
  }

  /** Resolves when a signal has ended it, and the kernel has taken everything back. */
  async killed(): Promise<void> {
    assert.deepEqual(await this.#exit, [null, "SIGKILL"]);
  }

  async #order(order: Order): Promise<unknown> {
    const report = once(this.#child, "message").then(([message]) => message as Report);
    this.#child.send(order);
    const answer = await Promise.race([report, this.#exit.then(() => "gone" as const)]);
    if (answer === "gone") {
      assert.equal(order.method, "perform", "the process has ended");
      return "killed";
    }
    if ("error" in answer) throw new Error(answer.error);
    return answer.result;
  }
}

class Linux implements Ground {
  readonly kernel = "Linux";
  readonly #path = join(directory, "notify");
  #manager = new ServiceManager(this.#path);
  #process: Process | undefined;

  async next() {
    if (!this.#process?.isAlive) this.#process = new Process(this.#path, this.#manager.store);
    return this.#process.player;
  }

  async buried() {
    await this.#process?.killed();
    // What it has sent with its last breath is on its way.
    this.#manager.wake();
  }

  heard() {
    const lines = readFileSync(heard, { encoding: "utf8", flag: "a+" }).split("\n").slice(0, -1);
    writeFileSync(heard, "");
    return lines.map((line) => JSON.parse(line));
  }

  async assertWhole(player: Player) {
    const model = await player.model();
    assert.deepEqual(this.#stored(), filesOf(model).sort());
    assert.deepEqual(openDevices(this.#process?.pid ?? 0), pathsOf(model));
    assert.equal(model.mismatches, 0);
    await this.#assertIoases(model);
    await this.#assertSeats(model);
    await this.#assertIoases(model);
  }

  async assertEmpty() {
    assert.deepEqual([this.#stored(), openDevices(this.#process?.pid ?? 0)], [[], []]);
    assert.deepEqual(openDevices(process.pid), []);
  }

  async end() {
    await this.close();
    this.#manager = new ServiceManager(this.#path);
  }

  async close() {
    await this.#process?.end();
    this.#process = undefined;
    this.#manager.wake();
    this.#manager.close();
  }

  /** The names of what is stored, but for the journal. */
  #stored(): string[] {
    this.#manager.wake();
    const names = this.#manager.store.map(({ name }) => name);
    return names.filter((name) => !name.startsWith("journal-")).sort();
  }

  #fd(name: string): number {
    const found = this.#manager.store.find((each) => each.name === name);
    assert(found, name);
    return found.fd;
  }

  /** The kernel has the model's IOASes and no other, and says the same of them. */
  async #assertIoases({ contexts }: Model): Promise<void> {
    for (const { context, ioases, isOpen } of contexts) {
      for (let id = 1; isOpen && id <= LAST_ID; id++) {
        const expected = ioases.find(({ ioas }) => ioas === id);
        const { code, ranges } = await readRanges(kernel, this.#fd(contextFile(context)), id, ROOM);
        assert.equal(code, expected ? "OK" : "ENOENT", `the IOAS ${id} of ${context}`);
        assert.deepEqual(
          ranges.map(({ start, last }) => [`0x${start.toString(16)}`, `0x${last.toString(16)}`]),
          expected?.ranges ?? [],
        );
      }
    }
  }

  /**
   * The kernel does not tell where a device is attached, but an IOAS with a device has a hole: each device that is there
   * makes it alone, and without those of the model there is none.
   */
  async #assertSeats({ contexts }: Model): Promise<void> {
    const places = contexts.flatMap(({ context, ioases }) =>
      ioases.flatMap(({ ioas, devices }) => devices.map((device) => ({ context, ioas, device }))),
    );
    const hasHole = async (context: string, ioas: number) => {
      const { ranges } = await readRanges(kernel, this.#fd(contextFile(context)), ioas, ROOM);
      return ranges.length > 1 || ranges[0]?.last !== (1n << 64n) - 1n;
    };
    for (const place of places) {
      const others = places.filter((each) => each !== place);
      for (const each of others) await this.#detach(each.device);
      assert(await hasHole(place.context, place.ioas), `${place.device} is not attached to ${place.ioas}`);
      await this.#detach(place.device);
      for (const { context, ioases } of contexts)
        for (const { ioas } of ioases)
          assert(!(await hasHole(context, ioas)), `somebody is attached to ${context}'s ${ioas}`);
      for (const each of places) await this.#attach(each.device, each.ioas);
    }
  }

  async #detach(device: string): Promise<void> {
    const argument = vfio_device_detach_iommufd_pt.encode({});
    await kernel.slowIoctl(this.#fd(deviceFile(device)), VFIO_DEVICE_DETACH_IOMMUFD_PT, argument);
  }

  async #attach(device: string, ioas: number): Promise<void> {
    const argument = vfio_device_attach_iommufd_pt.encode({ pt_id: ioas });
    await kernel.slowIoctl(this.#fd(deviceFile(device)), VFIO_DEVICE_ATTACH_IOMMUFD_PT, argument);
  }
}

/** What a process has open that has the model. */
function pathsOf({ contexts }: Model): string[] {
  return contexts
    .flatMap(({ isOpen, held }) => [
      ...(isOpen ? ["/dev/iommu"] : []),
      ...held.map((each) => cdevOf(kernel, each)),
    ])
    .sort();
}

const linux = new Linux();
afterAll(async () => {
  await linux.close();
  await kernel.shutdown();
});

killInEveryCall(linux, {
  timeout: 3_600_000,
  // A process that starts takes seconds here. Between the end of a call and the next one neither the kernel nor the store sees
  // anything.
  isDeadly: (step, at) => at === 0 || step.endsWith(" is made"),
});
