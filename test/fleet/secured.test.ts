import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore } from "../../src/fleet/stores/open.ts";
import { IS_LONG } from "../runs.ts";
import { profile, record } from "./hosts.ts";
import { HAS_NATS, NatsServer } from "./nats-server.ts";

const HAS_OPENSSL = spawnSync("openssl", ["version"]).status === 0;

describe.skipIf(!HAS_NATS || !HAS_OPENSSL)("NATS with TLS", () => {
  let directory: string;
  let server: NatsServer;
  // By its name: a certificate is for a name.
  const url = () => `nats://localhost:${server.port}`;
  const file = (name: string) => join(directory, name);
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "iovad-tls-"));
    for (const name of ["ca", "other"])
      openssl(
        "req",
        "-x509",
        ...KEY,
        file(`${name}.key`),
        "-out",
        file(`${name}.pem`),
        "-subj",
        `/CN=${name}`,
      );
    for (const name of ["server", "client"]) {
      openssl("req", ...KEY, file(`${name}.key`), "-out", file(`${name}.csr`), "-subj", `/CN=${name}`);
      writeFileSync(file("names"), "subjectAltName=DNS:localhost");
      const signed = [
        "-CA",
        file("ca.pem"),
        "-CAkey",
        file("ca.key"),
        "-CAcreateserial",
        "-extfile",
        file("names"),
      ];
      openssl("x509", "-req", "-in", file(`${name}.csr`), ...signed, "-out", file(`${name}.pem`));
    }
    server = await NatsServer.start([
      ...["--tls", "--tlscert", file("server.pem"), "--tlskey", file("server.key")],
      ...["--tlsverify", "--tlscacert", file("ca.pem")],
    ]);
  });
  afterAll(async () => {
    await server.stop();
    rmSync(directory, { recursive: true });
  });

  it("is used by who trusts the server and has a certificate that the server trusts", async () => {
    const store = await openStore({
      ...{ servers: [url()], replicas: 1, tlsCa: file("ca.pem") },
      ...{ tlsCert: file("client.pem"), tlsKey: file("client.key") },
    });
    await store.publish(record("n1"), profile(), true);
    expect((await store.read("n1"))?.text).toContain('"host":"n1"');
    await store.close();
  });

  it("is used by who has the certificate at the time, for certificates are replaced", async () => {
    for (const name of ["pem", "key"]) copyFileSync(file(`client.${name}`), file(`replaced.${name}`));
    const store = await openStore({
      ...{ servers: [url()], replicas: 1, tlsCa: file("ca.pem") },
      ...{ tlsCert: file("replaced.pem"), tlsKey: file("replaced.key") },
    });
    const isLetIn = () =>
      store.read("n1").then(
        () => true,
        () => false,
      );
    expect(await isLetIn()).toBe(true);
    copyFileSync(file("other.pem"), file("replaced.pem"));
    await server.kill();
    await server.start();
    await delay(1000);
    expect(await isLetIn()).toBe(false);
    copyFileSync(file("client.pem"), file("replaced.pem"));
    while (!(await isLetIn())) await delay(20);
    await store.close();
  });

  const refusal = (files: { tlsCa: string; tlsCert?: string; tlsKey?: string }) => {
    const paths = Object.fromEntries(Object.entries(files).map(([name, path]) => [name, file(path)]));
    return expect(openStore({ servers: [url()], replicas: 1, ...paths })).rejects;
  };

  it("is not used by who trusts another authority", async () => {
    const files = { tlsCa: "other.pem", tlsCert: "client.pem", tlsKey: "client.key" };
    await refusal(files).toThrow(/self.signed|unable to verify|certificate/);
  });

  // The client takes four seconds to give up.
  it.runIf(IS_LONG)("is not used by who shows no certificate", async () => {
    await refusal({ tlsCa: "ca.pem" }).toThrow(/no NATS server at nats:\/\/localhost/);
  });

  it("a file that is not there is named by its option", async () => {
    const opened = openStore({ servers: [url()], replicas: 1, tlsCa: file("none.pem") });
    await expect(opened).rejects.toThrow(/^--tls-ca: .*none\.pem/);
  });
});

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout"];

function openssl(...args: string[]): void {
  const { status, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
}
