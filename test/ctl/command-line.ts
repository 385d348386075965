import { run } from "../../src/ctl/run.ts";

/** The built command, for what takes a process of its own. */
export const MAIN = new URL("../../dist/ctl/main.js", import.meta.url).pathname;

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line in this process; `env` alone is its environment. */
export async function iovactl(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const texts = { stdout: "", stderr: "" };
  const stream = (name: keyof typeof texts) =>
    ({
      write(text: string) {
        texts[name] += text;
        return true;
      },
    }) as unknown as NodeJS.WriteStream;
  const status = await run(args, {
    stdout: stream("stdout"),
    stderr: stream("stderr"),
    env,
    piped: async () => undefined,
  });
  return { status, ...texts };
}

/** What comes of the same host is the same but for where and when it was asked. */
export function settled(text: string, socket: string): string {
  return text
    .replaceAll(socket, "SOCKET")
    .replaceAll(/iovad \d+\.\d+\.\d+/g, "iovad VERSION")
    .replaceAll(/\d{4}-\d\d-\d\dT[0-9:.]+Z/g, "TIME")
    .replaceAll(/"(seconds|microseconds|uptime-seconds)": ?[0-9]+/g, '"$1":0')
    .replaceAll(/"(instance|digest)": ?"[^"]*"/g, '"$1":"…"')
    .replaceAll(/("host": ?|host {4})"?[^"\s,]+"?/g, "$1HOST")
    .replaceAll(/up for \d+ s/g, "up for N s")
    .replaceAll(/^(\S*up {15}\S* {2})\d[0-9a-z ]+/gm, "$1N s")
    .replaceAll(/"(hits|misses|invalidations|connections)": ?\d+/g, '"$1":N')
    .replaceAll(/\d+ (hits|misses|invalidations)/g, "N $1");
}
