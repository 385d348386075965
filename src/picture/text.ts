import { formatAddress, U64_MAX } from "../ranges/address.ts";
import { humanSize } from "../ranges/size.ts";
import { type Cell, type Kind, type Picture, type Row, rowsOf } from "./picture.ts";
import { shorten, wrap } from "./wrap.ts";

export interface TextStyle {
  /** Columns of the page. */
  readonly width: number;
  paint(kind: Kind, text: string): string;
}

/** Of an address, with the blank behind it. */
const MARGIN = 19;
/** Between a lane's borders, in columns: for a name and a size; and what a word takes at least. */
const WIDEST = 34;
const NARROWEST = 10;
/** From where on a lane has room for a broad filling; and for blanks between the filling and the label. */
const BROAD = 20;
const LOOSE = 14;
/** What is left for the side. */
const NOTES = 22;

const FILLS: Readonly<Record<Kind, string>> = { usable: " ", excluded: "░", window: "▒", conflict: "▓" };

/** The picture as lines of text, the lowest address first. Lanes that the page has no room for stand below the others. */
export function drawText(picture: Picture, { width, paint }: TextStyle): string[] {
  const most = Math.max(Math.floor((width - MARGIN - NOTES) / (NARROWEST + 2)), 1);
  const panels = panelsOf(picture, most);
  const count = Math.max(...panels.map(({ lanes }) => lanes.length), 1);
  const inner = clamp(Math.floor((width - MARGIN - NOTES) / count) - 2, NARROWEST, WIDEST);
  // One lane has room for how large a part is, several share the row's size at the side.
  const isAlone = picture.lanes.length === 1;
  return panels.flatMap((panel, at) => [
    ...(at === 0 ? [] : [""]),
    ...drawPanel(panel, { width, paint, inner, isAlone }),
  ]);
}

/** At most so many lanes in each. The causes stand in the last one, where everything comes together. */
function panelsOf(picture: Picture, most: number): Picture[] {
  const { lanes, notes } = picture;
  const count = Math.max(Math.ceil(lanes.length / most), 1);
  const cut = (at: number) => Math.round((at * lanes.length) / count);
  return Array.from({ length: count }, (_, at) => ({
    lanes: lanes.slice(cut(at), cut(at + 1)),
    notes: at === count - 1 ? notes : [],
  }));
}

interface PanelStyle extends TextStyle {
  /** Columns of a lane. */
  readonly inner: number;
  readonly isAlone: boolean;
}

function drawPanel(panel: Picture, { width, paint, inner, isAlone }: PanelStyle): string[] {
  const { lanes } = panel;
  const room = Math.max(width - MARGIN - lanes.length * (inner + 2) - 2, NARROWEST);
  const rows = rowsOf(panel);
  const titles = lanes.map((lane) => ` ${shorten(lane.title, inner).padEnd(inner)} `).join("");
  const border = `├${"─".repeat(inner)}┤`;
  return [
    ...(isAlone ? [] : [`${" ".repeat(MARGIN)}${titles}`.trimEnd()]),
    ...rows.flatMap((row, at) => [
      ruler(row, rows[at - 1], inner, border, paint),
      ...content(row, inner, room, isAlone, paint),
    ]),
    margin(formatAddress(U64_MAX)) + border.repeat(lanes.length),
  ];
}

/** The line at an address: through every lane where something begins or ends, past the others. */
function ruler(
  { cells, start }: Row,
  before: Row | undefined,
  inner: number,
  border: string,
  paint: TextStyle["paint"],
): string {
  const pieces = cells.map((cell, lane) => {
    const isEdge = !before || (cell ? cell.isFirst : before.cells[lane] !== undefined);
    return isEdge ? border : box(cell, "", inner, paint);
  });
  return margin(formatAddress(start)) + pieces.join("");
}

function content(
  { cells, notes, start, last }: Row,
  inner: number,
  room: number,
  isAlone: boolean,
  paint: TextStyle["paint"],
): string[] {
  const size = humanSize(last - start + 1n);
  const side = isAlone ? wrap(notes.join("; "), room) : sideOf(size, notes, room);
  const captions = cells.map((cell) =>
    cell?.isFirst ? caption(cell, isAlone ? extent(cell) : "", inner) : [],
  );
  const height = Math.max(side.length, ...captions.map((lines) => lines.length), 1);
  return Array.from({ length: height }, (_, at) => {
    const boxes = cells.map((cell, lane) => box(cell, captions[lane]?.[at] ?? "", inner, paint));
    const note = side[at] ?? "";
    return `${" ".repeat(MARGIN)}${boxes.join("")}${note === "" ? "" : `  ${note}`}`;
  });
}

/** How large a row is, and below that, unless there is room beside it, whose fault it is. */
function sideOf(size: string, notes: readonly string[], room: number): string[] {
  const line = [size, ...notes].join("  ");
  return line.length <= room ? [line] : [size, ...notes.flatMap((note) => wrap(note, room))];
}

/** How large the whole part is, whatever rows it reaches through. */
function extent({ part }: Cell): string {
  return humanSize(part.last - part.start + 1n);
}

/** What a part is called, on as many lines as it takes, and to its right how large it is. */
function caption({ part }: Cell, size: string, inner: number): string[] {
  const room = roomIn(inner);
  const [first = "", ...more] = wrap(part.label, size === "" ? room : room - size.length - 1);
  return [size === "" ? first : first.padEnd(room - size.length) + size, ...more].map((line) =>
    shorten(line, room),
  );
}

/** The filling of a part on both sides, the label in between. */
function box(cell: Cell | undefined, label: string, inner: number, paint: TextStyle["paint"]): string {
  if (!cell) return `│${" ".repeat(inner)}│`;
  const fill = FILLS[cell.part.kind].repeat(filling(inner));
  const blank = inner < LOOSE ? "" : " ";
  const text = [fill, label.padEnd(roomIn(inner)), fill].join(blank);
  return `│${paint(cell.part.kind, text)}│`;
}

/** Of a label, in columns. */
function roomIn(inner: number): number {
  return inner - 2 * filling(inner) - (inner < LOOSE ? 0 : 2);
}

/** On either side, in columns. */
function filling(inner: number): number {
  return inner < BROAD ? 1 : 2;
}

function margin(address: string): string {
  return `${address.padStart(MARGIN - 1)} `;
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}
