import type { Client, Params, Result } from "../client/index.ts";
import { NoAnswer } from "./dry-run.ts";
import type { Output } from "./terminal/output.ts";

/** The next request does not depend on the answer. */
export function unlessDry(error: unknown): undefined {
  if (!(error instanceof NoAnswer)) throw error;
}

type Method = "hold-device" | "release-device" | "detach-device" | "attach-device";

/**
 * Does the same with each device, one after the other, and stops at the first that is refused: what was done before
 * stands, and is printed.
 */
export async function forEachDevice<Name extends Method>(
  client: Client,
  out: Output,
  method: Name,
  all: readonly Params<Name>[],
  line: (answer: Result<Name>) => string,
): Promise<void> {
  for (const params of all) {
    const answer = (await client.request(method, params).catch(unlessDry)) as Result<Name> | undefined;
    if (answer) out.answer(answer, () => [line(answer)]);
  }
  await client.close();
}
