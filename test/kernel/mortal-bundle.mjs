// mortal-bundle.mjs CHECKOUT OUT: makes one script of mortal.ts, for a guest that has this checkout at CHECKOUT.
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const [checkout, out] = process.argv.slice(2);
const root = fileURLToPath(new URL("../../", import.meta.url));

/** Threads are those of dist/, which have the names of their sources. */
const places = {
  name: "places",
  transform: {
    filter: { id: /\/src\/.*\.ts$/, code: "import.meta." },
    handler(code, id) {
      const place = id.slice(root.length).replace(/^src\/(.*)\.ts$/, "dist/$1.js");
      return code
        .replaceAll("import.meta.url", JSON.stringify(`file://${checkout}/${place}`))
        .replaceAll("import.meta.dirname", JSON.stringify(dirname(`${checkout}/${place}`)));
    },
  },
};

const bundled = await rolldown({
  input: `${root}test/kernel/mortal.ts`,
  platform: "node",
  external: ["koffi"],
  plugins: [places],
});
await bundled.write({
  file: out,
  codeSplitting: false,
  minify: { compress: true, mangle: false, codegen: { removeWhitespace: true } },
  // Bare names are not found from where the guest has it.
  paths: { koffi: `file://${checkout}/node_modules/koffi/index.js` },
});
