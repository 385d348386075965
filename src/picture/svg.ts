import { formatAddress, U64_MAX } from "../ranges/address.ts";
import { humanSize } from "../ranges/size.ts";
import { type Picture, type Row, rowsOf } from "./picture.ts";
import { shorten, wrap } from "./wrap.ts";

/** Pixels. */
const LINE = 18;
const PAD = 12;
const ADDRESS_WIDTH = 172;
const LANE_WIDTH = 190;
const LANE_GAP = 10;
const NOTE_WIDTH = 360;
/** Characters that fit. */
const LANE_CHARACTERS = 23;
const NOTE_CHARACTERS = 46;

const STYLE = `
.iova { --paper: #fff; --ink: #1b1f24; --soft: #57606a; --usable: #dafbe1; --excluded: #ffd8d3; --window: #ddf4ff; --conflict: #ff8182; --line: #8c959f }
@media (prefers-color-scheme: dark) {
.iova { --paper: #0d1117; --ink: #e6edf3; --soft: #9da7b3; --usable: #12331f; --excluded: #4c1a1a; --window: #10304f; --conflict: #a1262b; --line: #6e7681 } }
.iova text { font: 13px ui-monospace, "DejaVu Sans Mono", monospace; fill: var(--ink) }
.iova .soft { fill: var(--soft) }
.iova .title { font-weight: bold }
.iova .paper { fill: var(--paper) }
.iova .box { stroke: var(--line) }
.iova .usable { fill: var(--usable) } .iova .excluded { fill: var(--excluded) }
.iova .window { fill: var(--window) } .iova .conflict { fill: var(--conflict) }
.iova .hatch { stroke: var(--line); stroke-width: 1; opacity: .55 }
`.trim();

/** The picture as an SVG of its own: text is text, and it is readable on light paper and on dark. */
export function drawSvg(picture: Picture, title: string): string {
  const rows = rowsOf(picture).map((row) => ({ row, notes: sideOf(row) }));
  const heights = rows.map(({ notes }) => Math.max(notes.length, 1) * LINE + PAD);
  const top = PAD + 2 * LINE + PAD;
  const tops = heights.map((_, at) => top + heights.slice(0, at).reduce((sum, height) => sum + height, 0));
  const bottom = top + heights.reduce((sum, height) => sum + height, 0);
  const lanesWidth = picture.lanes.length * (LANE_WIDTH + LANE_GAP);
  const width = ADDRESS_WIDTH + lanesWidth + NOTE_WIDTH;
  const height = bottom + LINE + PAD;
  const lanes = picture.lanes.flatMap((lane, at) => {
    const x = ADDRESS_WIDTH + at * (LANE_WIDTH + LANE_GAP);
    return [
      text(x, top - PAD / 2 - 2, "title", shorten(lane.title, LANE_CHARACTERS)),
      ...boxesOf(
        rows.map(({ row }) => row),
        at,
        x,
        tops,
        bottom,
      ),
    ];
  });
  const sides = rows.flatMap(({ row, notes }, at) => {
    const y = tops[at] as number;
    return [
      `<text class="soft" text-anchor="end" x="${ADDRESS_WIDTH - PAD}" y="${y + 5}">${formatAddress(row.start)}</text>`,
      ...notes.map((note, line) => text(ADDRESS_WIDTH + lanesWidth + 4, y + LINE * (line + 1), "soft", note)),
    ];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="iova" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    `<title>${escapeXml(title)}</title>`,
    `<style>${STYLE}</style>`,
    '<defs><pattern id="iova-hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line class="hatch" x1="0" y1="0" x2="0" y2="8"/></pattern></defs>',
    `<rect class="paper" width="${width}" height="${height}"/>`,
    text(PAD, PAD + LINE, "title", title),
    ...lanes,
    ...sides,
    `<text class="soft" text-anchor="end" x="${ADDRESS_WIDTH - PAD}" y="${bottom + 5}">${formatAddress(U64_MAX)}</text>`,
    "</svg>",
    "",
  ].join("\n");
}

/** How large the row is, and whose fault it is. */
function sideOf({ start, last, notes }: Row): string[] {
  return [humanSize(last - start + 1n), ...notes.flatMap((note) => wrap(note, NOTE_CHARACTERS))];
}

/** The parts of one lane, each over all the rows that it reaches through. */
function boxesOf(
  rows: readonly Row[],
  lane: number,
  x: number,
  tops: readonly number[],
  bottom: number,
): string[] {
  return rows.flatMap(({ cells }, at) => {
    const cell = cells[lane];
    if (!cell?.isFirst) return [];
    const { part } = cell;
    const end = rows.findIndex(({ start }) => start > part.last);
    const y = tops[at] as number;
    const box = `x="${x}" y="${y}" width="${LANE_WIDTH}" height="${(end < 0 ? bottom : (tops[end] as number)) - y}"`;
    const isHatched = part.kind === "excluded" || part.kind === "conflict";
    return [
      `<rect class="box ${part.kind}" ${box}/>`,
      ...(isHatched ? [`<rect fill="url(#iova-hatch)" ${box}/>`] : []),
      text(x + 8, y + LINE, "", shorten(part.label, LANE_CHARACTERS)),
    ];
  });
}

function text(x: number, y: number, style: string, content: string): string {
  return `<text${style === "" ? "" : ` class="${style}"`} x="${x}" y="${y}">${escapeXml(content)}</text>`;
}

/** For text and attributes of XML, and of HTML. */
export function escapeXml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return text.replace(/[&<>"]/g, (character) => entities[character] as string);
}
