/**
 * The second half of `npm run build`: in the place of each program that tsc has compiled comes one that needs no other
 * module of dist/ and no package but koffi. What programs share, or load only when they come to it, is in dist/chunks/.
 */
import { rmSync, writeFileSync } from "node:fs";
import { Module } from "node:module";
import { dirname, relative } from "node:path";
import { type InputOptions, type OutputOptions, type Plugin, rolldown } from "rolldown";
import { licencesOf, packageOf } from "./licences.ts";
import { placesAs } from "./places.ts";
import { packageJson, programs, ROOT } from "./programs.ts";
import { zodMembers } from "./zod-members.ts";

/** A file is read and compiled quicker without spaces; names stay, for the stacks of internal faults. */
const MINIFY = { compress: true, mangle: false, codegen: { removeWhitespace: true } } as const;

/** What `compiled.ts` loads is a function's text already: put together there, it would be in memory twice. */
const wrapped: Plugin = {
  name: "wrapped",
  generateBundle(_, files) {
    for (const file of Object.values(files)) {
      if (file.type === "chunk" && file.isEntry) file.code = Module.wrap(file.code);
    }
  },
};

const OF_THE_DAEMON: More = {
  output: {
    format: "cjs",
    // Named after what is in it: a code cache is of one file, and V8 looks at no more than its length.
    entryFileNames: "chunks/daemon/[name]-[hash].cjs",
    plugins: [wrapped],
  },
};

const MARK = "iovad-module:";

/** Relative to the file that a module is in now, which is known when that is written. */
const places: Plugin = {
  ...placesAs({
    url: (path) => `new URL("${MARK}${path}", import.meta.url)`,
    dirname: (path) => `(import.meta.dirname + "/${MARK}${path}")`,
  }),
  renderChunk(code, { fileName }) {
    const place = (_: string, module: string) => relative(dirname(fileName), module);
    return code.replaceAll(new RegExp(`${MARK}([\\w./-]+)`, "g"), place);
  },
};

/** V8 keeps a text beyond Latin-1 in twice the memory, and reads it slower. */
const ascii: Plugin = {
  name: "ascii",
  generateBundle(_, files) {
    const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
    for (const file of Object.values(files)) {
      if (file.type === "chunk") file.code = file.code.replaceAll(/[^\0-\x7f]/g, escaped);
    }
  },
};

/** pino's own ways to write, here, from a thread and to several, and to leave out what is secret: the daemon has `log-sink.ts`. */
const UNUSED =
  /^\0?(sonic-boom|thread-stream|on-exit-leak-free|@pinojs\/redact|\.\/(lib\/)?(transport|multistream))$/;
const unused: Plugin = {
  name: "unused",
  resolveId: { filter: { id: UNUSED }, handler: ofPino },
  load: { filter: { id: UNUSED }, handler: () => "module.exports = function () {};" },
};
/** pino asks whether it is in a thread, which takes a daemon's start longer than most of what it does. */
const THREADS = /^\0?worker_threads$/;
const noThread: Plugin = {
  name: "no-thread",
  resolveId: { filter: { id: THREADS }, handler: ofPino },
  load: { filter: { id: THREADS }, handler: () => "exports.isMainThread = true;" },
};

/** Only what pino asks for: others have modules of such names as well, NATS's client its `./transport`. */
function ofPino(id: string, importer: string | undefined): string | undefined {
  return importer !== undefined && packageOf(importer) === "pino" ? `\0${id}` : undefined;
}

interface More {
  readonly input?: InputOptions;
  readonly output?: OutputOptions;
}

/** Returns the files that it has written. */
async function bundle(entries: readonly string[], name: string, more: More = {}) {
  const input: InputOptions = {
    input: Object.fromEntries(entries.map((entry) => [entry, `${ROOT}src/${entry}.ts`])),
    cwd: ROOT,
    platform: "node",
    external: ["koffi"],
    transform: { target: "node20.19" },
    plugins: [places, ascii, unused, noThread, zodMembers],
    ...more.input,
  };
  const bundled = await rolldown(input);
  const { output } = await bundled.write({
    dir: `${ROOT}dist`,
    entryFileNames: "[name].js",
    chunkFileNames: `chunks/${name}/[name].js`,
    minify: MINIFY,
    ...more.output,
  });
  return output.filter((file) => file.type === "chunk");
}

rmSync(`${ROOT}dist/chunks`, { recursive: true, force: true });
const { daemon, starter, codeCache, threads, clients } = programs(packageJson());
const ofDaemon = await bundle([daemon], "daemon", OF_THE_DAEMON);
const DAEMON = JSON.stringify(`./${ofDaemon.find(({ isEntry }) => isEntry)?.fileName}`);
const input = { transform: { target: "node20.19", define: { DAEMON } } };
await bundle([starter], "starter", { input, output: { format: "cjs", entryFileNames: "[name].cjs" } });
// The path that it had at first: drop-ins of units name it.
writeFileSync(`${ROOT}dist/${starter}.js`, `#!/usr/bin/env node\nimport "./${starter}.cjs";\n`);
await bundle([codeCache], "code-cache", { input });
const chunks = [...ofDaemon, ...(await bundle(threads, "threads")), ...(await bundle(clients, "clients"))];
const packages = new Set(chunks.flatMap(({ moduleIds }) => moduleIds).flatMap((id) => packageOf(id) ?? []));
const notices = licencesOf(packages).map(({ name, version, text }) => `${name} ${version}\n\n${text}\n`);
writeFileSync(`${ROOT}dist/chunks/LICENCES.txt`, notices.join(`\n${"-".repeat(80)}\n\n`));
