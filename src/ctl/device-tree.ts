import { type Device, placeOf, reasons, usability, usabilityRole } from "./device-columns.ts";
import type { Paint } from "./terminal/paint.ts";

interface Node {
  readonly text: string;
  readonly children: readonly Node[];
}

/** IOMMU, group, device, context: as lines. */
export function deviceTree(devices: readonly Device[], paint: Paint): string[] {
  const width = devices.reduce((most, device) => Math.max(most, driverOf(device).length), 0);
  const iommus = groupBy(devices, ({ iommu }) => iommu ?? "unknown IOMMU");
  return [...iommus].flatMap(([iommu, members]) => [
    paint("heading", iommu),
    ...branches(
      [...groupBy(members, ({ group }) => group)].map(([group, each]) =>
        groupNode(group, each, width, paint),
      ),
    ),
  ]);
}

function groupNode(group: number, devices: readonly Device[], width: number, paint: Paint): Node {
  return { text: `group ${group}`, children: devices.map((device) => deviceNode(device, width, paint)) };
}

function driverOf({ driver }: Device): string {
  return driver ?? "no driver";
}

/** `width`: of the longest driver's name. */
function deviceNode(device: Device, width: number, paint: Paint): Node {
  const verdict = [usability(device), reasons(device)].filter((text) => text !== "").join(": ");
  const text = `${device.device}  ${driverOf(device).padEnd(width)}  ${paint(usabilityRole(device), verdict)}`;
  const users = (device.users ?? []).map(({ pid, uid, command }) => ({
    text: `open in ${command} (pid ${pid}, uid ${uid})`,
    children: [],
  }));
  const place = placeOf(device);
  const held = place === "" ? [] : [{ text: `${device.state} in ${place}`, children: [] }];
  return { text, children: [...held, ...users] };
}

function branches(nodes: readonly Node[]): string[] {
  return nodes.flatMap(({ text, children }, at) => {
    const isLast = at === nodes.length - 1;
    return [
      `${isLast ? "└─" : "├─"} ${text}`,
      ...branches(children).map((line) => `${isLast ? "  " : "│ "} ${line}`),
    ];
  });
}

function groupBy<Each, Key>(list: readonly Each[], keyOf: (each: Each) => Key): Map<Key, Each[]> {
  const groups = new Map<Key, Each[]>();
  for (const each of list) {
    const key = keyOf(each);
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    group.push(each);
  }
  return groups;
}
