import { ACCESS, CONFIG, ERRANDS, GENERAL, LIMIT_SETTINGS, type Setting } from "./settings.ts";

/** Column of the explanations, and where lines end. */
const INDENT = 34;
const WIDTH = 100;

const FLAGS = Object.entries(ERRANDS).map(([name, about]) => ({ name, value: "", about }));

/** What `--help` prints. */
export const help = () => `iovad: which IO virtual addresses can the devices of this host use?

Usage: iovad [OPTION]...

${section([...GENERAL, CONFIG, ...FLAGS])}

Who may do what. USER and GROUP are names or numbers; these options may be repeated. root and the
daemon's own user may do everything. With any of them given, everybody may connect, and who has no role
is sent away; without, only the members of the socket's group may connect.
${section(ACCESS)}

Limits. What is refused for one is answered with LimitExceeded and its name in data.limit:
${section(LIMIT_SETTINGS)}

It speaks JSON-RPC 2.0, one JSON value a line:
  echo '{"jsonrpc":"2.0","id":1,"method":"query-devices"}' | socat -t5 - UNIX-CONNECT:PATH
`;

function section(settings: readonly Pick<Setting, "name" | "value" | "about">[]): string {
  return settings.map(entry).join("\n");
}

function entry({ name, value, about }: Pick<Setting, "name" | "value" | "about">): string {
  const option = `  --${name} ${value}`.trimEnd();
  const margin = `\n${" ".repeat(INDENT)}`;
  const head = option.length < INDENT - 1 ? option.padEnd(INDENT) : `${option}${margin}`;
  return head + wrap(about).join(margin);
}

/** Lines that end where WIDTH does. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > WIDTH - INDENT) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
