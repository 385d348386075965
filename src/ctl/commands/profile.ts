import type { Result } from "../../client/index.ts";
import { defineCommand } from "../command.ts";
import { inCommands } from "../in-commands.ts";
import { RANGE_COLUMNS } from "../range-columns.ts";
import type { Column } from "../terminal/table.ts";

type Each = Result<"query-host-profile">["devices"][number];

const COLUMNS: readonly Column<Each>[] = [
  { name: "device", of: ({ device }) => device },
  { name: "group", align: "right", of: ({ group }) => `${group}` },
  { name: "iommu", optional: true, of: ({ iommu }) => iommu ?? "" },
  {
    name: "id",
    optional: true,
    of: ({ pci }) => (pci ? `${pci.vendor}:${pci.device}`.replaceAll("0x", "") : ""),
  },
  { name: "usable", of: ({ available, assignable }) => (available ? "yes" : assignable ? "busy" : "no") },
  { name: "exact", of: ({ exact }) => (exact ? "yes" : "no") },
  { name: "list", align: "right", of: ({ allowed }) => `${allowed}` },
];

export const profile = defineCommand({
  options: { full: { type: "boolean", about: "with who excludes what" } },
  details: [
    "With -j it is what check-layout and the other planning methods take in hosts, on any host: iovactl -j profile > host.json",
  ],
  columns: () => COLUMNS,
  async run({ args, options: { full }, out, daemon }) {
    const client = await daemon.connect();
    const params = {
      ...(args.length > 0 ? { devices: args } : {}),
      ...(full ? { detail: "full" as const } : {}),
    };
    const answer = await client.call("query-host-profile", params);
    await client.close();
    out.answer(answer, () =>
      out.paragraphs(
        out.legend([
          ["host", answer.host],
          ["exact", answer.exact ? "yes" : `no: ${inCommands(answer.hint ?? "")}`],
          ["digest", answer.digest],
        ]),
        out.table(COLUMNS, answer.devices),
        out.otherTable(RANGE_COLUMNS, answer.allowed),
      ),
    );
    return 0;
  },
});
