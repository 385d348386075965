import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Result } from "../client/index.ts";
import { parseAddress } from "../ranges/address.ts";
import { inDirectory } from "./in-directory.ts";

/** The file of ours in Node Feature Discovery's directory. */
const FILE = "iovad";
/** A label's value has at most 63 characters. */
const DIGEST_LENGTH = 32;

type Described = Pick<Result<"query-host-profile">, "allowed" | "devices" | "exact" | "digest">;

/**
 * What Node Feature Discovery's local source makes labels of. `aperture-bits`: as many address bits as devices can use
 * all the way up, holes aside.
 */
export function featuresText({ allowed, devices, exact, digest }: Described): string {
  const top = allowed.at(-1);
  const bits = top ? (parseAddress(top.last) + 1n).toString(2).length - 1 : 0;
  const blocked = devices.filter(({ assignable }) => !assignable).length;
  const features = {
    "aperture-bits": bits,
    "assignable-devices": devices.length - blocked,
    "blocked-devices": blocked,
    digest: digest.slice(0, DIGEST_LENGTH),
    exact,
  };
  return Object.entries(features)
    .map(([name, value]) => `iovad.io/${name}=${value}\n`)
    .join("");
}

/** Writes the file whole or not at all, and makes the directory. */
export async function writeFeatures(directory: string, profile: Described): Promise<void> {
  // Files whose names begin with a dot are not looked at.
  const fresh = join(directory, `.${FILE}.${process.pid}`);
  await inDirectory(directory, () => writeFile(fresh, featuresText(profile)));
  await rename(fresh, join(directory, FILE));
}

/** The labels go. */
export async function removeFeatures(directory: string): Promise<void> {
  await rm(join(directory, FILE), { force: true });
}
