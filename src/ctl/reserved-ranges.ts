import type { Result } from "../client/index.ts";
import { RANGE_COLUMNS } from "./range-columns.ts";
import { rangeText, sizeOf, toRange } from "./ranges.ts";
import type { Output } from "./terminal/output.ts";
import type { Column } from "./terminal/table.ts";

type Reserved = Result<"query-reserved-ranges">;
type Row = Reserved["regions"][number];

export const RESERVED_COLUMNS: readonly Column<Row>[] = [
  ...RANGE_COLUMNS,
  { name: "type", of: ({ type }) => type, role: ({ enforced }) => (enforced ? "blocks" : "warns") },
  { name: "enforced", of: ({ enforced }) => (enforced ? "yes" : "no") },
];

const SOURCES: Readonly<Record<Reserved["source"], string>> = {
  sysfs: "what sysfs reports",
  probe: "the kernel's own word, by a probe",
  "resv-iova-ranges": "the kernel's own word, by IOMMU_RESV_IOVA_RANGES",
};

const APERTURES: Readonly<Record<Reserved["aperture-source"], string>> = {
  probe: "by a probe",
  ioas: "by an IO address space",
  estimate: "an estimate; probe tells for certain",
  unknown: "unknown; probe tells",
};

/** Of what begins at 0 and ends with all bits set, as host-phys-bits-limit= takes them. */
function bitsOf(range: Parameters<typeof toRange>[0]): string {
  const { start, last } = toRange(range);
  const bits = last.toString(2);
  return start === 0n && !bits.includes("0") ? `, ${bits.length} bits` : "";
}

/** What is known of one device, for people: its regions, then what lies around them. */
export function reservedLines(answer: Reserved, out: Output): string[] {
  const { aperture, reserved } = answer;
  const extent = aperture ? `${rangeText(aperture)} (${sizeOf(aperture)}${bitsOf(aperture)}), ` : "";
  return [
    ...out.table(RESERVED_COLUMNS, answer.regions),
    ...out.legend([
      ["device", `${answer.device}, group ${answer.group}`],
      ["aperture", extent + APERTURES[answer["aperture-source"]]],
      ["source", `${SOURCES[answer.source]}, of the ${answer.scope}`],
      ["reserved", reserved.map(rangeText).join(" ") || "nothing that is known"],
      [
        "truncated",
        answer.truncated ? out.paint("warns", "the kernel's list was cut: there may be more") : undefined,
      ],
    ]),
  ];
}
