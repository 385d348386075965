import { defineCommand } from "../command.ts";
import { examine } from "../doctor/examine.ts";
import { HostFiles } from "../doctor/host-files.ts";
import { answersOf, exactlyOne } from "../need.ts";
import { gather } from "../report/gather.ts";
import { page } from "../report/page.ts";
import { writeFile } from "../write-file.ts";

export const report = defineCommand({
  options: {},
  details: [
    "One page that needs nothing else, no script and no network: devices by group, maps, what doctor finds, the latest events. - writes it to standard output.",
  ],
  async run({ args, out, daemon }) {
    const file = exactlyOne(args, "the file");
    answersOf(daemon, "report");
    const client = await daemon.connect();
    const uid = process.geteuid?.() ?? -1;
    const examined = { files: new HostFiles(), daemon, uid };
    const findings = await examine({ device: undefined, guest: undefined }, examined);
    const gathered = await gather(client);
    await client.close();
    const html = page({ ...gathered, findings, made: new Date(), place: daemon.place });
    writeFile(file, html, out);
    return 0;
  },
});
