import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ADMIN, type Asker, DEVICE, OTHER, OTHER_ADMIN, SIBLING, startDaemon, TWIN } from "./peers.ts";

let daemon: Awaited<ReturnType<typeof startDaemon>>;
let owner: Asker;
let other: Asker;
let root: Asker;
beforeEach(async () => {
  daemon = await startDaemon();
  owner = await daemon.connect(ADMIN);
  other = await daemon.connect(OTHER_ADMIN);
  root = await daemon.connect(0);
});
afterEach(() => daemon.stop());

/** A context of the owner with an IOAS, a held device and an attached one. */
async function guest() {
  await owner.get("create-context", { context: "guest" });
  const { ioas } = await owner.get("create-ioas", { context: "guest" });
  const { ioas: empty } = await owner.get("create-ioas", { context: "guest" });
  await owner.get("hold-device", { device: DEVICE, context: "guest" });
  await owner.get("hold-device", { device: OTHER, context: "guest" });
  await owner.get("attach-device", { device: DEVICE, ioas });
  return { ioas, empty };
}

/** What changes an object that somebody has made: every method that names one. */
const CHANGES: [string, (ids: { ioas: number; empty: number }) => object][] = [
  ["create-ioas", () => ({ context: "guest" })],
  ["destroy-ioas", ({ empty }) => ({ context: "guest", ioas: empty })],
  ["allow-ranges", ({ ioas }) => ({ context: "guest", ioas, ranges: [] })],
  [
    "check-layout",
    ({ ioas }) => ({
      context: "guest",
      ioas,
      enforce: true,
      layout: [{ name: "ram", start: "0x0", size: "0x1000" }],
    }),
  ],
  ["hold-device", () => ({ device: TWIN, context: "guest" })],
  ["attach-device", ({ ioas }) => ({ device: OTHER, ioas })],
  ["detach-device", () => ({ device: DEVICE })],
  ["release-device", () => ({ device: OTHER })],
  ["hand-over-device", () => ({ device: TWIN, context: "guest" })],
  ["hand-over-context", () => ({ context: "guest" })],
  ["destroy-context", () => ({ context: "guest" })],
];

describe.each(CHANGES)("%s on what another uid has made", (method, params) => {
  it("is refused to a client that controls, and the owner is named", async () => {
    const ids = await guest();
    const { error } = await other.ask(method, params(ids));
    expect(error).toMatchObject({ code: -32010, data: { class: "PermissionDenied", owner: ADMIN } });
    expect(error.message).toContain(`uid ${ADMIN}`);
    expect(await root.get("query-contexts")).toMatchObject({
      contexts: [{}, { context: "guest", ioas: [ids.ioas, ids.empty], devices: [DEVICE, OTHER] }],
    });
  });

  it("is a matter of the uid, not of the connection, and root may", async () => {
    for (const uid of [ADMIN, 0]) {
      const ids = await guest();
      const client = await daemon.connect(uid);
      expect(await client.outcome(method, params(ids))).not.toBe("PermissionDenied");
      await root.ask("destroy-context", { context: "guest" });
    }
  });
});

describe("what root has made", () => {
  it("only root may change", async () => {
    await root.get("create-context", { context: "system" });
    expect(await owner.outcome("destroy-context", { context: "system" })).toBe("PermissionDenied");
    expect(await owner.outcome("create-ioas", { context: "system" })).toBe("PermissionDenied");
    expect(await root.outcome("destroy-context", { context: "system" })).toBe("done");
  });

  it("inside another's context keeps that context from being destroyed by its owner", async () => {
    await owner.get("create-context", { context: "guest" });
    const { ioas } = await root.get("create-ioas", { context: "guest" });
    expect(await owner.outcome("destroy-context", { context: "guest" })).toBe("PermissionDenied");
    await root.get("destroy-ioas", { context: "guest", ioas });
    await root.get("hold-device", { device: DEVICE, context: "guest" });
    expect(await owner.outcome("destroy-context", { context: "guest" })).toBe("PermissionDenied");
    await root.get("release-device", { device: DEVICE });
    expect(await owner.outcome("destroy-context", { context: "guest" })).toBe("done");
  });
});

describe("the default context", () => {
  it("is for everybody who controls, and in it to each their own", async () => {
    const { ioas } = await owner.get("create-ioas");
    const { ioas: others } = await other.get("create-ioas");
    await owner.get("hold-device", { device: DEVICE });
    await other.get("hold-device", { device: OTHER });
    expect(await other.outcome("attach-device", { device: OTHER, ioas })).toBe("PermissionDenied");
    expect(await owner.outcome("attach-device", { device: OTHER, ioas })).toBe("PermissionDenied");
    expect(await other.outcome("destroy-ioas", { ioas })).toBe("PermissionDenied");
    expect(await owner.outcome("attach-device", { device: DEVICE, ioas })).toBe("done");
    expect(await other.outcome("attach-device", { device: OTHER, ioas: others })).toBe("done");
    expect(await owner.outcome("release-device", { device: OTHER })).toBe("PermissionDenied");
  });

  it("keeps a device from being moved by the owner of its sibling", async () => {
    const { ioas } = await owner.get("create-ioas");
    const { ioas: elsewhere } = await owner.get("create-ioas");
    await owner.get("hold-device", { device: TWIN });
    await owner.get("attach-device", { device: TWIN, ioas });
    await root.get("hold-device", { device: SIBLING });
    await root.get("attach-device", { device: SIBLING, ioas });
    const { error } = await owner.ask("attach-device", { device: TWIN, ioas: elsewhere });
    expect(error.data).toEqual({ class: "PermissionDenied", owner: 0 });
    expect([...daemon.host.ioas("default", ioas).devices]).toEqual([TWIN, SIBLING]);
    expect(await root.outcome("attach-device", { device: TWIN, ioas: elsewhere })).toBe("done");
    expect([...daemon.host.ioas("default", elsewhere).devices].sort()).toEqual([TWIN, SIBLING]);
  });
});

it("everybody may look at everything", async () => {
  const { ioas } = await guest();
  expect(await other.outcome("query-allowed-ranges", { context: "guest", ioas })).toBe("done");
  expect(await other.outcome("query-ioas", { context: "guest", ioas })).toBe("done");
});

it("a lease ends whatever stands in the context, also what root has put there", async () => {
  await owner.get("create-context", { context: "leased", lease: "connection" });
  await root.get("hold-device", { device: DEVICE, context: "leased" });
  const watcher = await daemon.connect(0);
  await watcher.get("subscribe", { events: ["CONTEXT_DESTROYED"] });
  owner.socket.destroy();
  expect((await watcher.next()).params.context).toBe("leased");
  expect(daemon.host.heldCount).toBe(0);
});
