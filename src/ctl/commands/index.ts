import type { Command, CommandEntry } from "../command.ts";

/** Every command, in the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
  entry(
    "status",
    "",
    "how the daemon is doing, and what its kernel can do",
    async () => (await import("./status.ts")).status,
  ),
  entry(
    "devices",
    "[DEVICE…]",
    "the devices of the host, who has them, and what blocks them",
    async () => (await import("./devices.ts")).devices,
  ),
  entry(
    "reserved",
    "DEVICE…",
    "the addresses that a device can never use",
    async () => (await import("./reserved.ts")).reserved,
  ),
  entry(
    "allowed",
    "[CONTEXT/]IOAS",
    "the addresses that everything in an IO address space can use",
    async () => (await import("./allowed.ts")).allowed,
  ),
  entry(
    "map",
    "DEVICE… | [CONTEXT/]IOAS",
    "a picture of the address space: what is usable, and why the rest is not",
    async () => (await import("./map.ts")).map,
  ),
  entry(
    "check",
    "DEVICE…",
    "whether a guest's memory map fits, and what to do when not",
    async () => (await import("./check.ts")).check,
  ),
  entry(
    "find",
    "SIZE DEVICE…",
    "a place of that size that everything can use",
    async () => (await import("./find.ts")).find,
  ),
  entry(
    "explain",
    "RANGE [DEVICE…]",
    "what forbids a range, and whose fault it is",
    async () => (await import("./explain.ts")).explain,
  ),
  entry(
    "report",
    "FILE.html",
    "one page to attach to a ticket: devices, maps, findings, events",
    async () => (await import("./report.ts")).report,
  ),
  entry(
    "probe",
    "DEVICE… | --all",
    "ask the kernel itself about devices; resets them",
    async () => (await import("./probe.ts")).probe,
  ),
  entry("hold", "DEVICE…", "take devices into a context", async () => (await import("./hold.ts")).hold),
  entry("release", "DEVICE…", "give devices back", async () => (await import("./release.ts")).release),
  entry(
    "attach",
    "DEVICE… [CONTEXT/]IOAS",
    "attach held devices to an IO address space",
    async () => (await import("./attach.ts")).attach,
  ),
  entry(
    "detach",
    "DEVICE…",
    "detach devices, and keep holding them",
    async () => (await import("./detach.ts")).detach,
  ),
  entry(
    "allow",
    "[CONTEXT/]IOAS RANGE… | --clear",
    "have the kernel keep ranges usable",
    async () => (await import("./allow.ts")).allow,
  ),
  entry(
    "contexts",
    "",
    "the contexts, their IO address spaces and devices",
    async () => (await import("./contexts.ts")).contexts,
  ),
  entry(
    "profile",
    "[DEVICE…]",
    "what this host allows, for planning on another",
    async () => (await import("./profile.ts")).profile,
  ),
  entry("watch", "", "events as they happen, one a line", async () => (await import("./watch.ts")).watch),
  entry("history", "", "past events, one a line", async () => (await import("./history.ts")).history),
  entry(
    "doctor",
    "[DEVICE]",
    "what is wrong with this host, and what to do",
    async () => (await import("./doctor.ts")).doctor,
  ),
  entry(
    "call",
    "METHOD [JSON|-]",
    "call a method of the daemon",
    async () => (await import("./call.ts")).call,
  ),
  entry(
    "methods",
    "",
    "the methods that this user may call",
    async () => (await import("./methods.ts")).methods,
  ),
  entry(
    "schema",
    "METHOD | EVENT",
    "the JSON Schemas of a method, or of an event",
    async () => (await import("./schema.ts")).schema,
  ),
  entry(
    "metrics",
    "",
    "the daemon's metrics, as text for Prometheus",
    async () => (await import("./metrics.ts")).metrics,
  ),
  entry(
    "completion",
    "bash | zsh | fish",
    "what makes a shell complete command lines",
    async () => (await import("./completion.ts")).completion,
  ),
  entry(
    "fleet",
    "hosts | check | predict | find SIZE | fits | outliers | watch",
    "what many hosts have in common",
    async () => (await import("./fleet.ts")).fleet,
  ),
  {
    ...entry(
      "proxy",
      "",
      "standard input and output as the daemon's socket, for -H",
      async () => (await import("./proxy.ts")).proxy,
    ),
    isHidden: true,
  },
  {
    ...entry(
      "complete",
      "WORD…",
      "the words that may follow",
      async () => (await import("./complete.ts")).complete,
    ),
    isHidden: true,
  },
];

function entry(name: string, synopsis: string, summary: string, load: () => Promise<unknown>): CommandEntry {
  // Its options make a command of its own type, which the parser vouches for.
  return { name, synopsis, summary, load: load as () => Promise<Command> };
}
