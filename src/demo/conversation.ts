import { type Arguments, type Client, DaemonError, type MethodName, type Result } from "../client/index.ts";
import { laneOfAllowed, notesOf } from "../picture/answers.ts";
import { drawText } from "../picture/text.ts";

type WireRange = Result<"predict-allowed-ranges">["ranges"][number];
type Print = (line?: string) => void;

/** Columns of the picture. */
const WIDTH = 98;

/** A client's main job from beginning to end, each request with the part of its answer that matters. */
export async function converse(client: Client, print: Print): Promise<void> {
  const ask = async <Name extends MethodName>(why: string, method: Name, ...params: Arguments<Name>) => {
    print();
    print(`# ${why}`);
    print(`→ ${method} ${JSON.stringify(params[0] ?? {})}`);
    return client.call(method, ...params);
  };

  const { devices } = await ask("What is there?", "query-devices");
  for (const { device, group, driver, assignable, blockers } of devices) {
    const verdict = assignable
      ? "assignable"
      : `blocked: ${[...new Set(blockers.map(({ reason }) => reason))].join(", ")}`;
    print(`← ${device}  group ${String(group).padEnd(3)} ${(driver ?? "-").padEnd(11)} ${verdict}`);
  }
  const chosen = devices.filter(({ assignable }) => assignable).map(({ device }) => device);
  const [first = "", second = ""] = chosen;

  const known = await ask("What can this device never use?", "query-reserved-ranges", {
    device: first,
  });
  for (const region of known.regions) print(`← ${text(region)} ${region.type}`);
  print(`← aperture: ${known.aperture ? text(known.aperture) : "none"}, by ${known["aperture-source"]}`);

  const probed = await ask("sysfs shows no aperture, only the kernel knows it: ask.", "probe-device", {
    device: first,
  });
  print(`← reserved: ${probed.reserved.map(text).join(" ")}`);
  print(`← aperture: ${probed.aperture ? text(probed.aperture) : "none"}, by ${probed["aperture-source"]}`);

  const blocked = devices.find(({ blockers }) => blockers.some(({ reason }) => reason === "direct-mapping"));
  if (blocked) {
    await ask("A device with a firmware claim on memory is refused, with the reason.", "hold-device", {
      device: blocked.device,
    }).catch((error) => {
      if (!(error instanceof DaemonError)) throw error;
      print(`← error ${error.code} ${error.class}: ${error.message}`);
    });
  }

  const { ioas } = await ask("An IO address space for a guest with two devices.", "create-ioas");
  print(`← ioas ${ioas}`);
  for (const device of [first, second]) {
    const { context } = await ask("Take the device …", "hold-device", { device });
    print(`← held in context ${context}`);
    const { ranges } = await ask("… and attach it.", "attach-device", { device, ioas });
    print(`← allowed: ${ranges.map(text).join(" ")}`);
  }

  const allowed = await ask("What can both use? The kernel's own answer.", "query-allowed-ranges", {
    ioas,
  });
  print(`← ${allowed.ranges.map(text).join(" ")}`);
  print(`← ${freshness(allowed)}, alignment ${allowed["iova-alignment"]}`);
  print();
  // With who excludes the rest, as iovactl map has it.
  const explained = await client.call("predict-allowed-ranges", { ioas });
  const picture = { lanes: [laneOfAllowed(`${ioas}`, explained)], notes: notesOf(explained) };
  for (const line of drawText(picture, { width: WIDTH, paint: (_kind, text) => text })) print(`  ${line}`);

  const again = await ask("Asked again, it comes from the cache …", "query-allowed-ranges", {
    ioas,
  });
  print(`← ${freshness(again)}`);
  await ask("… until something may have changed it.", "detach-device", { device: second });
  const after = await ask("The kernel is asked anew.", "query-allowed-ranges", { ioas });
  print(`← ${freshness(after)}, devices ${JSON.stringify(after.devices)}`);

  for (const device of [first, second]) await ask("Give it back.", "release-device", { device });
  const empty = await ask(
    "With nothing attached, all is allowed, and nothing promised.",
    "query-allowed-ranges",
    {
      ioas,
    },
  );
  print(`← ${empty.ranges.map(text).join(" ")}, devices ${JSON.stringify(empty.devices)}`);
  await ask("Done.", "destroy-ioas", { ioas });
  print();
}

function freshness({ cached, generation }: Result<"query-allowed-ranges">): string {
  return `cached ${cached}, generation ${generation}`;
}

function text({ start, last }: WireRange): string {
  return `[${start}, ${last}]`;
}
