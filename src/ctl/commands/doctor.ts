import { UsageError } from "../../command-line.ts";
import { causesText } from "../../picture/causes.ts";
import { parseSize } from "../../ranges/size.ts";
import { type Daemon, defineCommand } from "../command.ts";
import { counted } from "../counted.ts";
import { examine } from "../doctor/examine.ts";
import { HostFiles } from "../doctor/host-files.ts";
import { findingLines, hanging } from "../doctor/lines.ts";
import { knownLines, meaningOf, rangeIn } from "../doctor/messages.ts";
import { EXIT } from "../exit-status.ts";
import { answersOf, noMore } from "../need.ts";
import { rangeText, type WireRange } from "../ranges.ts";
import type { Output } from "../terminal/output.ts";
import { blockerText } from "../worth.ts";

export const doctor = defineCommand({
  options: {
    message: {
      type: "string",
      value: "TEXT",
      about: "a message of QEMU's or the kernel's: what it means; also on standard input",
    },
    memory: {
      type: "string",
      short: "m",
      value: "SIZE",
      about: "of the guest that is to start, for the limit of locked memory",
    },
  },
  details: [
    "Looks at the kernel, the IOMMU, firmware's claims, devices, the daemon and the limit of locked memory: what is well, what is not, how that was seen, and what to do. Without a daemon it tells what files of the kernel tell.",
    "The exit status is 1 when something is a failure, and 0 otherwise.",
  ],
  async run({ args, options, out, daemon, piped }) {
    const [device, ...more] = args;
    noMore(more);
    answersOf(daemon, "doctor");
    const message = options.message ?? (await piped());
    if (message !== undefined) {
      await explainMessage(message, device, out, daemon);
      return EXIT.yes;
    }
    const guest = options.memory === undefined ? undefined : memorySize(options.memory);
    const uid = process.geteuid?.() ?? -1;
    const findings = await examine({ device, guest }, { files: new HostFiles(), daemon, uid });
    await (await daemon.connect().catch(() => undefined))?.close();
    out.answer({ findings }, () => findingLines(findings, out));
    return findings.some(({ state }) => state === "failure") ? EXIT.no : EXIT.yes;
  },
});

/** A PCI device's name, as QEMU and the kernel put it into messages. */
const NAMED = /\b[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\b/;

/** What a message means; and what the daemon, if one is there, knows of the device and the addresses in it. */
async function explainMessage(
  text: string,
  device: string | undefined,
  out: Output,
  daemon: Daemon,
): Promise<void> {
  const [message = text, ...more] = knownLines(text);
  const { means, remedy, source } = meaningOf(message)?.meaning ?? {};
  const range = rangeIn(message);
  const name = device ?? NAMED.exec(message)?.[0] ?? NAMED.exec(text)?.[0];
  const client = range || name ? await daemon.connect().catch(() => undefined) : undefined;
  // A message may be of another host.
  const known = name
    ? (
        await client?.call("query-devices", { device: name }).catch((error) => {
          if (device !== undefined) throw error;
        })
      )?.devices[0]
    : undefined;
  const sources = known ? { devices: [known.device] } : {};
  // The numbers in a message may be none that can be asked about.
  const explained = range && client?.call("explain-range", { ...range, ...sources }).catch(() => undefined);
  const excluded = (await explained)?.excluded;
  await client?.close();
  const answer = {
    known: means !== undefined,
    means,
    remedy,
    source,
    range,
    excluded,
    blockers: known?.blockers,
    more: more.length === 0 ? undefined : more,
  };
  out.answer(answer, () => [
    ...(means === undefined
      ? ["This message is not known. iovactl doctor looks at the host, iovactl doctor DEVICE at a device."]
      : [
          ...hanging(out.paint("heading", "means      "), means, out),
          ...hanging(out.paint("heading", "do         "), remedy ?? "", out),
          ...hanging(out.paint("heading", "source     "), source ?? "", out),
        ]),
    ...(excluded?.length === 0
      ? hanging(out.paint("fits", "here       "), `nothing forbids ${rangeText(range as WireRange)}`, out)
      : []),
    ...(excluded ?? []).flatMap((each) =>
      hanging(out.paint("blocks", "forbidden  "), `${rangeText(each)} ${causesText(each.causes)}`, out),
    ),
    ...(known?.blockers ?? []).flatMap((blocker) =>
      hanging(
        out.paint("blocks", "here       "),
        `${blocker.device}: ${blocker.reason}: ${blockerText(blocker)}`,
        out,
      ),
    ),
    ...moreLines(more, out),
  ]);
}

/** How many lines of a text are known, and not explained, are shown to people. */
const SHOWN = 4;

/** One line of a text is explained: which others could be. */
function moreLines(more: readonly string[], out: Output): string[] {
  if (more.length === 0) return [];
  const rest = more.length > SHOWN ? [`and ${counted(more.length - SHOWN, "more line")}`] : [];
  const texts = [...more.slice(0, SHOWN), ...rest, "each by itself is explained as well (--message)"];
  return texts.flatMap((text, at) =>
    hanging(at === 0 ? out.paint("heading", "also known ") : " ".repeat(11), text, out),
  );
}

/** As QEMU's -m: megabytes without a unit. */
function memorySize(text: string): bigint {
  try {
    return parseSize(/^\d+$/.test(text) ? `${text}M` : text);
  } catch (error) {
    throw new UsageError(`-m ${text}: ${(error as Error).message}`);
  }
}
