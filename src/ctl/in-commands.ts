/** What of the protocol a command of its own does. */
const COMMANDS: Readonly<Record<string, string>> = {
  "allow-ranges": "allow",
  "attach-device": "attach",
  "check-layout": "check",
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

/** What the daemon says to programs, for people: they type commands, and their command line is what was wrong. */
export function inCommands(text: string): string {
  return text
    .replace(/^Invalid params: /, "")
    .replaceAll(/[a-z]+(?:-[a-z]+)+/g, (word) =>
      Object.hasOwn(COMMANDS, word) ? `iovactl ${COMMANDS[word]}` : word,
    );
}
