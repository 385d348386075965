/**
 * The second half of `npm run build`: in the place of each program that tsc has compiled comes one that needs no other
 * module of dist/ and no package but koffi. What programs share, or load only when they come to it, is in dist/chunks/.
 */
import { rmSync, writeFileSync } from "node:fs";
import { dirname, relative } from "node:path";
import { type InputOptions, type OutputOptions, type Plugin, rolldown } from "rolldown";
import { licencesOf, packageOf } from "./licences.ts";
import { packageJson, programs, ROOT } from "./programs.ts";

/** A file is read and compiled quicker without spaces; names stay, for the stacks of internal faults. */
const MINIFY = { compress: true, mangle: false, codegen: { removeWhitespace: true } } as const;

/** Few files: each costs the start of the daemon a millisecond. Native code and the simulated kernel are by themselves. */
const OF_THE_DAEMON = {
  groups: [
    { name: "daemon", test: /\/src\/serve\.ts$/ },
    { name: "native", test: /\/src\/(unix\/(credentials|send-descriptors)|libc\/alarm)\.ts$/ },
  ],
};

const MARK = "iovad-module:";

/** `import.meta.url` goes on naming a module's place below dist/, whichever file the module is in now. */
const places: Plugin = {
  name: "places",
  transform: {
    filter: { id: /\/src\/.*\.ts$/, code: "import.meta.url" },
    handler(code, id) {
      const place = relative(`${ROOT}src`, id).replace(/\.ts$/, ".js");
      return code.replaceAll("import.meta.url", `new URL("${MARK}${place}", import.meta.url)`);
    },
  },
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

/** Returns which packages have gone into it. */
async function bundle(entries: readonly string[], name: string, options: OutputOptions): Promise<string[]> {
  const input: InputOptions = {
    input: Object.fromEntries(entries.map((entry) => [entry, `${ROOT}src/${entry}.ts`])),
    cwd: ROOT,
    platform: "node",
    external: ["koffi"],
    transform: { target: "node20.19" },
    plugins: [places, ascii],
  };
  const bundled = await rolldown(input);
  const { output } = await bundled.write({
    dir: `${ROOT}dist`,
    entryFileNames: "[name].js",
    chunkFileNames: `chunks/${name}/[name].js`,
    minify: MINIFY,
    ...options,
  });
  return output
    .flatMap((file) => (file.type === "chunk" ? file.moduleIds : []))
    .flatMap((id) => packageOf(id) ?? []);
}

rmSync(`${ROOT}dist/chunks`, { recursive: true, force: true });
const { daemon, threads, clients } = programs(packageJson());
const packages = new Set([
  ...(await bundle(daemon, "daemon", { codeSplitting: OF_THE_DAEMON })),
  ...(await bundle(threads, "threads", {})),
  ...(await bundle(clients, "clients", {})),
]);
const notices = licencesOf(packages).map(({ name, version, text }) => `${name} ${version}\n\n${text}\n`);
writeFileSync(`${ROOT}dist/chunks/LICENCES.txt`, notices.join(`\n${"-".repeat(80)}\n\n`));
