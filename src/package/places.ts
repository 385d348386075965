import { dirname, relative } from "node:path";
import type { Plugin } from "rolldown";
import { ROOT } from "./programs.ts";

/** What `import.meta` is to say of a module in a bundle, as expressions: of its path and that of its directory, below dist/. */
export interface Places {
  url(path: string): string;
  dirname(path: string): string;
}

/** `import.meta` goes on naming a module's place below dist/, whichever file the module is in now. */
export function placesAs(places: Places): Required<Pick<Plugin, "name" | "transform">> {
  return {
    name: "places",
    transform: {
      filter: { id: /\/src\/.*\.ts$/, code: "import.meta." },
      handler(code, id) {
        const path = relative(`${ROOT}src`, id).replace(/\.ts$/, ".js");
        return code
          .replaceAll("import.meta.url", places.url(path))
          .replaceAll("import.meta.dirname", places.dirname(dirname(path)));
      },
    },
  };
}
