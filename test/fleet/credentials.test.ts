import { randomUUID } from "node:crypto";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { nkeys } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore } from "../../src/fleet/stores/open.ts";
import { profile, record } from "./hosts.ts";
import { HAS_NATS, NatsServer } from "./nats-server.ts";

type KeyPair = ReturnType<typeof nkeys.createUser>;

/** A claim as NATS takes it, signed. */
function jwt(kind: string, subject: KeyPair, issuer: KeyPair, claims: object = {}): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const body = `${part({ typ: "JWT", alg: "ed25519-nkey" })}.${part({
    ...{ jti: randomUUID(), iat: Math.floor(Date.now() / 1000), iss: issuer.getPublicKey() },
    ...{ name: kind, sub: subject.getPublicKey(), nats: { ...claims, type: kind, version: 2 } },
  })}`;
  return `${body}.${Buffer.from(issuer.sign(new TextEncoder().encode(body))).toString("base64url")}`;
}

/** What `nsc generate creds` writes. */
function credentials(user: KeyPair, account: KeyPair): string {
  const seed = new TextDecoder().decode(user.getSeed());
  return [
    ...[
      "-----BEGIN NATS USER JWT-----",
      jwt("user", user, account, { subs: -1, data: -1, payload: -1 }),
      "------END NATS USER JWT------",
      "",
    ],
    ...["-----BEGIN USER NKEY SEED-----", seed, "------END USER NKEY SEED------", ""],
  ].join("\n");
}

describe.skipIf(!HAS_NATS)("NATS with credentials", () => {
  let directory: string;
  let server: NatsServer;
  const file = (name: string) => join(directory, name);

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "iovad-creds-"));
    const [operator, account, other] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createAccount()];
    const unlimited = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
    const limits = {
      ...unlimited,
      subs: -1,
      conn: -1,
      leaf: -1,
      imports: -1,
      exports: -1,
      data: -1,
      payload: -1,
    };
    const trusted = jwt("account", account, operator, { limits: { ...limits, wildcards: true } });
    const system = nkeys.createAccount();
    const accounts = [
      `${account.getPublicKey()}: ${trusted}`,
      `${system.getPublicKey()}: ${jwt("account", system, operator)}`,
    ];
    const settings = [
      `operator: ${jwt("operator", operator, operator)}`,
      `system_account: ${system.getPublicKey()}`,
      "resolver: MEMORY",
      `resolver_preload: { ${accounts.join(", ")} }`,
    ];
    writeFileSync(file("server.conf"), settings.join("\n"));
    writeFileSync(file("good.creds"), credentials(nkeys.createUser(), account));
    writeFileSync(file("bad.creds"), credentials(nkeys.createUser(), other));
    server = await NatsServer.start(["-c", file("server.conf")]);
  });
  afterAll(async () => {
    await server.stop();
    rmSync(directory, { recursive: true });
  });

  it("is used by who has them", async () => {
    const store = await openStore({ servers: [server.url], replicas: 1, creds: file("good.creds") });
    await store.publish(record("n1"), profile(), true);
    expect((await store.read("n1"))?.text).toContain('"host":"n1"');
    await store.close();
  });

  it("is used by who has them at the time, for they are replaced", async () => {
    const creds = file("replaced.creds");
    copyFileSync(file("good.creds"), creds);
    const store = await openStore({ servers: [server.url], replicas: 1, creds });
    await store.publish(record("n1"), profile(), true);
    const isLetIn = () =>
      store.read("n1").then(
        () => true,
        () => false,
      );
    copyFileSync(file("bad.creds"), creds);
    await server.kill();
    await server.start();
    await delay(1000);
    expect(await isLetIn()).toBe(false);
    copyFileSync(file("good.creds"), creds);
    while (!(await isLetIn())) await delay(20);
    await store.close();
  });

  it.each([
    ["has another account's", { creds: "bad.creds" }],
    ["has none", {}],
  ])("is not used by who %s", async (_, { creds }: { creds?: string }) => {
    const options = { servers: [server.url], replicas: 1, ...(creds ? { creds: file(creds) } : {}) };
    await expect(openStore(options)).rejects.toThrow(/no NATS server at .*Authorization Violation/i);
  });
});
