import { parseAddress } from "../ranges/address.ts";
import type { Client } from "./client.ts";
import { picture } from "./picture.ts";

interface WireRange {
  start: string;
  last: string;
}
interface Device {
  device: string;
  group: number;
  driver: string | null;
  assignable: boolean;
  blockers: { reason: string }[];
}
interface Reserved {
  regions: (WireRange & { type: string; enforced: boolean })[];
  reserved: WireRange[];
  aperture: WireRange | null;
  "aperture-source": string;
}
interface Allowed {
  ranges: WireRange[];
  "iova-alignment": string;
  devices: string[];
  cached: boolean;
  generation: number;
}
type Print = (line?: string) => void;

/** A client's main job from beginning to end, each request with the part of its answer that matters. */
export async function converse(client: Client, print: Print): Promise<void> {
  const ask = async <Result>(why: string, method: string, params: object = {}): Promise<Result> => {
    print();
    print(`# ${why}`);
    print(`→ ${method} ${JSON.stringify(params)}`);
    return client.call<Result>(method, params);
  };

  const { devices } = await ask<{ devices: Device[] }>("What is there?", "query-devices");
  for (const { device, group, driver, assignable, blockers } of devices) {
    const verdict = assignable
      ? "assignable"
      : `blocked: ${[...new Set(blockers.map(({ reason }) => reason))].join(", ")}`;
    print(`← ${device}  group ${String(group).padEnd(3)} ${(driver ?? "-").padEnd(11)} ${verdict}`);
  }
  const chosen = devices.filter(({ assignable }) => assignable).map(({ device }) => device);
  const [first = "", second = ""] = chosen;

  const known = await ask<Reserved>("What can this device never use?", "query-reserved-ranges", {
    device: first,
  });
  for (const region of known.regions) print(`← ${text(region)} ${region.type}`);
  print(`← aperture: ${known.aperture ? text(known.aperture) : "none"}, by ${known["aperture-source"]}`);

  const probed = await ask<Reserved>(
    "sysfs shows no aperture, only the kernel knows it: ask.",
    "probe-device",
    {
      device: first,
    },
  );
  print(`← reserved: ${probed.reserved.map(text).join(" ")}`);
  print(`← aperture: ${probed.aperture ? text(probed.aperture) : "none"}, by ${probed["aperture-source"]}`);

  const blocked = devices.find(({ blockers }) => blockers.some(({ reason }) => reason === "direct-mapping"));
  if (blocked) {
    await ask("A device with a firmware claim on memory is refused, with the reason.", "hold-device", {
      device: blocked.device,
    }).catch((error: Error & { code: number; data: { class: string } }) =>
      print(`← error ${error.code} ${error.data.class}: ${error.message}`),
    );
  }

  const { ioas } = await ask<{ ioas: number }>(
    "An IO address space for a guest with two devices.",
    "create-ioas",
  );
  print(`← ioas ${ioas}`);
  for (const device of [first, second]) {
    const { context } = await ask<{ context: string }>("Take the device …", "hold-device", { device });
    print(`← held in context ${context}`);
    const { ranges } = await ask<Allowed>("… and attach it.", "attach-device", { device, ioas });
    print(`← allowed: ${ranges.map(text).join(" ")}`);
  }

  const allowed = await ask<Allowed>("What can both use? The kernel's own answer.", "query-allowed-ranges", {
    ioas,
  });
  print(`← ${allowed.ranges.map(text).join(" ")}`);
  print(`← ${freshness(allowed)}, alignment ${allowed["iova-alignment"]}`);
  print();
  for (const line of picture(allowed.ranges.map(numbers), probed.regions.map(typed))) print(`  ${line}`);

  const again = await ask<Allowed>("Asked again, it comes from the cache …", "query-allowed-ranges", {
    ioas,
  });
  print(`← ${freshness(again)}`);
  await ask("… until something may have changed it.", "detach-device", { device: second });
  const after = await ask<Allowed>("The kernel is asked anew.", "query-allowed-ranges", { ioas });
  print(`← ${freshness(after)}, devices ${JSON.stringify(after.devices)}`);

  for (const device of [first, second]) await ask("Give it back.", "release-device", { device });
  const empty = await ask<Allowed>(
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

function freshness({ cached, generation }: Allowed): string {
  return `cached ${cached}, generation ${generation}`;
}

function text({ start, last }: WireRange): string {
  return `[${start}, ${last}]`;
}

function numbers({ start, last }: WireRange) {
  return { start: parseAddress(start), last: parseAddress(last) };
}

function typed(region: WireRange & { type: string }) {
  return { ...numbers(region), type: region.type };
}
