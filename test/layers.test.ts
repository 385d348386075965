import { readdirSync, readFileSync } from "node:fs";
import { dirname, normalize } from "node:path/posix";
import { expect, it } from "vitest";

const ROOT = new URL("../src/", import.meta.url);

/** What each folder and file of src/ may import beside itself. src/README.md says why. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  ranges: [],
  uapi: [],
  "lazily.ts": [],
  "clock.ts": [],
  libc: ["lazily.ts"],
  "nearest.ts": [],
  "random.ts": [],
  "limits.ts": [],
  "command-line.ts": ["nearest.ts"],
  "debugger.ts": [],
  access: [],
  unix: ["libc", "uapi"],
  kernel: ["lazily.ts", "libc", "ranges", "uapi"],
  attribution: ["ranges"],
  host: ["attribution", "clock.ts", "kernel", "limits.ts", "ranges"],
  service: ["host", "lazily.ts", "libc", "uapi", "unix"],
  plan: ["attribution", "host", "ranges"],
  metrics: [],
  rpc: [
    "access",
    "attribution",
    "clock.ts",
    "host",
    "lazily.ts",
    "limits.ts",
    "metrics",
    "nearest.ts",
    "plan",
  ].concat(["random.ts", "ranges"]),
  client: ["host", "libc", "rpc", "uapi", "unix"],
  picture: ["ranges"],
  demo: ["client", "command-line.ts", "picture"],
  fleet: ["attribution", "client", "command-line.ts", "debugger.ts", "plan", "ranges", "rpc"],
  ctl: ["client", "command-line.ts", "fleet", "metrics", "nearest.ts", "picture", "plan", "ranges"],
  run: ["client", "command-line.ts", "debugger.ts", "rpc"],
  docs: ["ctl", "fleet", "rpc", "run", "settings.ts"],
  package: [],
  "settings.ts": ["access", "limits.ts", "uapi"],
  "help.ts": ["settings.ts"],
  "options.ts": ["access", "command-line.ts", "limits.ts", "settings.ts"],
  "open-kernel.ts": ["kernel", "options.ts"],
  "log.ts": ["host", "ranges"],
  "log-sink.ts": [],
  "capture.ts": ["host", "open-kernel.ts", "options.ts", "ranges"],
  "heap.ts": [],
  "door.ts": ["access", "options.ts", "rpc", "service", "unix"],
  "serve.ts": [
    "access",
    "command-line.ts",
    "door.ts",
    "heap.ts",
    "host",
    "libc",
    "limits.ts",
    "log-sink.ts",
    "log.ts",
  ].concat(["open-kernel.ts", "options.ts", "rpc", "service"]),
  "rehearsal.ts": ["host", "kernel", "log-sink.ts", "rpc", "service", "unix"],
  "daemon.ts": [
    "capture.ts",
    "command-line.ts",
    "help.ts",
    "kernel",
    "options.ts",
    "rehearsal.ts",
    "serve.ts",
  ],
  "start.ts": [],
  "compiled.ts": ["daemon.ts", "start.ts"],
  "main.ts": ["compiled.ts", "debugger.ts", "heap.ts", "start.ts"],
  "code-cache.ts": ["command-line.ts", "compiled.ts", "heap.ts", "start.ts"],
};

/** Objects of the simulated kernel point at each other, as those of Linux do. */
const ENTANGLED = /^kernel\/simulated\/(device|group|vfio-(device|group|container))\.ts$/;

/** Which of our files each file imports, for its types or for what it does, at once or when it comes to it. */
function imports(): Map<string, string[]> {
  const files = readdirSync(ROOT, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts"),
  );
  return new Map(
    files.map((file) => {
      const text = readFileSync(new URL(file, ROOT), "utf8");
      const paths = [...text.matchAll(/(?:\bfrom|\bimport)[ (]"(\.[^"]+)"/g)].map(
        ([, path]) => path as string,
      );
      return [file, paths.map((path) => normalize(`${dirname(file)}/${path}`))];
    }),
  );
}

/** The files that can be reached from themselves. */
function circular(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const reaches = (goal: string, file: string, seen = new Set<string>()): boolean =>
    (graph.get(file) ?? []).some((next) => {
      if (next === goal) return true;
      if (seen.has(next)) return false;
      seen.add(next);
      return reaches(goal, next, seen);
    });
  return [...graph.keys()].filter((file) => reaches(file, file));
}

const layerOf = (path: string) => path.split("/", 1)[0] as string;

it("no layer imports what is above it", () => {
  const upwards = [...imports()].flatMap(([file, paths]) => {
    const layer = layerOf(file);
    const allowed = [layer, ...(MAY_IMPORT[layer] ?? [])];
    return paths.filter((path) => !allowed.includes(layerOf(path))).map((path) => `${file} imports ${path}`);
  });
  expect(upwards).toEqual([]);
});

it("what the layers may import makes no circle, and nothing in it is of the past", () => {
  expect(circular(new Map(Object.entries(MAY_IMPORT)))).toEqual([]);
  const used = new Map<string, Set<string>>(Object.keys(MAY_IMPORT).map((layer) => [layer, new Set()]));
  for (const [file, paths] of imports()) {
    for (const path of paths)
      if (layerOf(path) !== layerOf(file)) used.get(layerOf(file))?.add(layerOf(path));
  }
  const expected = Object.entries(MAY_IMPORT).map(([layer, allowed]) => [layer, [...allowed].sort()]);
  expect(Array.from(used, ([layer, imported]) => [layer, [...imported].sort()])).toEqual(expected);
});

it("no files import each other in a circle, not even for their types", () => {
  expect(circular(imports()).filter((file) => !ENTANGLED.test(file))).toEqual([]);
});

it("a circle would be found", () => {
  const graph = new Map([
    ["a.ts", ["b.ts"]],
    ["b.ts", ["c.ts", "d.ts"]],
    ["c.ts", ["a.ts"]],
    ["d.ts", []],
  ]);
  expect(circular(graph)).toEqual(["a.ts", "b.ts", "c.ts"]);
});
