// mortal-bundle.mjs CHECKOUT OUT: makes one script of mortal.ts, for a guest that has this checkout at CHECKOUT.
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { placesAs } from "../../dist/package/places.js";

const [checkout, out] = process.argv.slice(2);
const root = fileURLToPath(new URL("../../", import.meta.url));

/** Threads are those of dist/, which have the names of their sources. */
const places = placesAs({
  url: (path) => JSON.stringify(`file://${checkout}/dist/${path}`),
  dirname: (path) => JSON.stringify(`${checkout}/dist/${path}`),
});

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
