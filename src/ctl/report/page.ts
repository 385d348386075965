import { drawSvg, escapeXml } from "../../picture/svg.ts";
import { type Device, placeOf, reasons, usability } from "../device-columns.ts";
import type { Finding } from "../doctor/finding.ts";
import { eventLine } from "../event-line.ts";
import { plain } from "../terminal/paint.ts";
import type { Gathered } from "./gather.ts";

export interface Report extends Gathered {
  readonly findings: readonly Finding[];
  readonly made: Date;
  readonly place: string;
}

/** How many devices are named above a map. */
const NAMED = 8;

const STYLE = `
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --ok: #1a7f37; --warning: #9a6700; --failure: #cf222e }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9da7b3; --line: #30363d; --ok: #3fb950; --warning: #d29922; --failure: #f85149 } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.2rem; margin-top: 2.5rem; border-bottom: 1px solid var(--line) }
p.soft, .soft { color: var(--soft) }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line) }
td, pre { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 13px; overflow-wrap: break-word }
td:first-child { white-space: nowrap }
.ok, .yes { color: var(--ok) } .warning, .busy { color: var(--warning) } .failure, .no { color: var(--failure); font-weight: bold }
pre { white-space: pre-wrap } figure { margin: 1rem 0; break-inside: avoid } svg { max-width: 100%; height: auto }
@media print { body { margin: 0; max-width: none } tr { break-inside: avoid } h2 { break-after: avoid } }
`.trim();

/** The whole page: text, tables and pictures, and nothing that has to be fetched or run. */
export function page(report: Report): string {
  const { version, place, status, made } = report;
  const title = `iovad on ${status.backend === "simulated" ? "a simulated host" : status.kernel.release}`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeXml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeXml(title)}</h1>
<p class="soft">iovad ${escapeXml(version)} at ${escapeXml(place)}, kernel ${escapeXml(status.kernel.release)}, ${made.toISOString()}</p>
<h2>Findings</h2>
${table(["group", "check", "", "evidence", "do"], report.findings.map(findingRow))}
<h2>Devices</h2>
${table(["device", "group", "driver", "state", "where", "usable", "why"], [...report.devices].sort((a, b) => a.group - b.group).map(deviceRow))}
<h2>Maps</h2>
${report.maps.map(map).join("\n")}${report.mapsLeftOut > 0 ? `<p class="soft">${report.mapsLeftOut} more kinds of devices have maps of their own: iovactl map DEVICE</p>` : ""}
<h2>Latest events</h2>
${events(report.events)}
</body>
</html>
`;
}

interface Cell {
  readonly text: string;
  readonly style?: string;
}

function findingRow({ group, check, state, evidence, remedy }: Finding): Cell[] {
  return [
    { text: group },
    { text: check },
    { text: state, style: state },
    { text: evidence },
    { text: remedy ?? "" },
  ];
}

function deviceRow(device: Device): Cell[] {
  const verdict = usability(device);
  const { driver, group, state } = device;
  return [
    ...[device.device, `${group}`, driver ?? "none", state, placeOf(device)].map((text) => ({ text })),
    { text: verdict, style: verdict },
    { text: reasons(device) },
  ];
}

function table(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const head = headings.map((heading) => `<th>${escapeXml(heading)}</th>`).join("");
  const body = rows.map((cells) => `<tr>${cells.map(cell).join("")}</tr>`).join("\n");
  return `<table>\n<thead><tr>${head}</tr></thead>\n<tbody>\n${body}\n</tbody>\n</table>`;
}

function cell({ text, style }: Cell): string {
  return `<td${style ? ` class="${style}"` : ""}>${escapeXml(text)}</td>`;
}

function map({ devices, picture }: Report["maps"][number]): string {
  const named = devices.slice(0, NAMED).join(", ");
  const more = devices.length > NAMED ? ` and ${devices.length - NAMED} more` : "";
  return `<figure>\n${drawSvg(picture, named + more)}</figure>`;
}

function events(all: Report["events"]): string {
  if (all.length === 0) return '<p class="soft">None is remembered.</p>';
  return `<pre>${all.map((event) => escapeXml(eventLine(event, plain))).join("\n")}</pre>`;
}
