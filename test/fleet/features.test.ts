import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { featuresText, removeFeatures, writeFeatures } from "../../src/fleet/features.ts";

const device = (assignable: boolean) =>
  ({ device: "d", group: 1, iommu: null, pci: null, assignable }) as never;
const described = {
  allowed: [
    { start: "0x0", last: "0xfedfffff" },
    { start: "0xfef00000", last: "0x7fffffffff" },
  ],
  devices: [device(true), device(false), device(true)],
  exact: true,
  digest: "0123456789abcdef".repeat(4),
};

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-features-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

it("labels have the form that Node Feature Discovery and Kubernetes take", () => {
  const text = featuresText(described);
  expect(text).toBe(
    [
      "iovad.io/aperture-bits=39",
      "iovad.io/assignable-devices=2",
      "iovad.io/blocked-devices=1",
      "iovad.io/digest=0123456789abcdef0123456789abcdef",
      "iovad.io/exact=true",
      "",
    ].join("\n"),
  );
  for (const line of text.trimEnd().split("\n"))
    expect(line).toMatch(/^[a-z.]+\/[a-z-]+=[A-Za-z0-9._-]{1,63}$/);
});

it("an aperture counts as many bits as can be used all the way up", () => {
  const bits = (last: string) =>
    /bits=(\d+)/.exec(featuresText({ ...described, allowed: [{ start: "0x0", last }] }))?.[1];
  expect([bits("0xffffffffffffffff"), bits("0xfffffffffffffffe"), bits("0xffffffff"), bits("0x0")]).toEqual([
    "64",
    "63",
    "32",
    "0",
  ]);
  expect(featuresText({ ...described, allowed: [] })).toContain("aperture-bits=0\n");
});

it("the file is replaced whole, and goes at the end", async () => {
  await writeFeatures(directory, { ...described, exact: false });
  await writeFeatures(directory, described);
  expect(readdirSync(directory)).toEqual(["iovad"]);
  expect(readFileSync(join(directory, "iovad"), "utf8")).toBe(featuresText(described));
  await removeFeatures(directory);
  await removeFeatures(directory);
  expect(readdirSync(directory)).toEqual([]);
});

it("whoever reads it finds all of one profile, and never a part", async () => {
  await writeFeatures(directory, described);
  const other = { ...described, exact: false };
  const whole = [described, other].map(featuresText);
  let isOver = false;
  const writing = (async () => {
    for (let n = 0; n < 100; n++) await writeFeatures(directory, n % 2 === 0 ? other : described);
    isOver = true;
  })();
  while (!isOver) expect(whole).toContain(await readFile(join(directory, "iovad"), "utf8"));
  await writing;
});
