/** What of the protocol a command of its own does. */
const COMMANDS: Readonly<Record<string, string>> = {
  "allow-ranges": "allow",
  "attach-device": "attach",
  "check-layout": "check",
  "create-context": "call create-context",
  "create-ioas": "call create-ioas",
  "detach-device": "detach",
  "hold-device": "hold",
  "probe-device": "probe",
  "query-allowed-ranges": "allowed",
  "query-commands": "methods",
  "query-contexts": "contexts",
  "query-devices": "devices",
  "query-host-profile": "profile",
  "query-ioas": "contexts",
  "query-reserved-ranges": "reserved",
  "release-device": "release",
};

/** What the daemon says of members that people give as options. */
const OPTIONS: readonly (readonly [RegExp, string])[] = [
  [/^machine\.memory: this member is required/, "how much memory? give -m SIZE"],
  [/^machine\.([\w-]+): expected true or false/, "--machine …,$1= takes on or off"],
  [
    /^enforce: takes the ioas that is to keep the layout/,
    "--enforce takes --ioas, which is to keep the layout",
  ],
  [/^events\[\d+\]: /, "--event: "],
  [/^devices\[\d+\]: /, ""],
];

/** What the daemon says to programs, for people: they type commands, and their command line is what was wrong. */
export function inCommands(text: string): string {
  const plain = text.replace(/^Invalid params: /, "");
  return OPTIONS.reduce((told, [pattern, words]) => told.replace(pattern, words), plain).replaceAll(
    /[a-z]+(?:-[a-z]+)+/g,
    (word) => (Object.hasOwn(COMMANDS, word) ? `iovactl ${COMMANDS[word]}` : word),
  );
}
