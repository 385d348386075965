import { existsSync, readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { openDevices } from "./guest.ts";

/** Where a user may go who may not walk to where QEMU is (init.sh). */
const QEMU = "/run/needed/qemu";
const QMP = "/tmp/qmp.sock";

/**
 * The command line, for iovad-run, of as little of a guest as QEMU starts without: 4 MiB, no firmware run. Locked memory is
 * limited to 8 MiB for users.
 */
export function qemu(device: string): string[] {
  const machine = "-machine q35 -accel tcg -m 4M -S -nodefaults -no-user-config -display none".split(" ");
  return [
    `${QEMU}/qemu-system-x86_64`,
    ...machine,
    ...["-qmp", `unix:${QMP},server=on,wait=off`],
    ...["-object", "iommufd,id=iommufd0,fd={iommufd}"],
    ...["-device", `vfio-pci,iommufd=iommufd0,fd={device:${device}}`],
  ];
}

/** Runs QMP commands, each waited for; resolves to their answers. */
export async function qmp(...commands: string[]): Promise<Record<string, unknown>[]> {
  while (!existsSync(QMP)) await delay(250);
  const socket = connect(QMP);
  const answers: Record<string, unknown>[] = [];
  for await (const line of createInterface({ input: socket })) {
    const message = JSON.parse(line);
    if ("event" in message) continue;
    if ("return" in message || "error" in message) answers.push(message);
    const next = ["qmp_capabilities", ...commands][answers.length];
    if (next === undefined) break;
    socket.write(JSON.stringify({ execute: next }));
  }
  socket.destroy();
  return answers.slice(1);
}

function processes(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** The processes that have a device node open, by its path. */
export function openers(path: string): number[] {
  return processes().filter((pid) => {
    try {
      return openDevices(pid).includes(path);
    } catch {
      // It has ended meanwhile.
      return false;
    }
  });
}

/** The one QEMU that runs. Its program is a script, which gives way to a loader of the same folder. */
export function pidOfQemu(): number {
  const [pid, ...more] = processes().filter((each) =>
    readFileSync(`/proc/${each}/cmdline`, "utf8").startsWith(`${QEMU}/`),
  );
  expect([pid, more]).toEqual([expect.any(Number), []]);
  return pid as number;
}
