import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { MACHINE_OPTIONS, parseMachine } from "../../src/ctl/machine.ts";

const SCHEMA = new URL("../../schemas/methods/check-layout.json", import.meta.url);
const { MachineInput } = JSON.parse(readFileSync(SCHEMA, "utf8")).params.definitions;
/** What -m says. */
const OF_MEMORY = ["memory", "max-memory", "slots"];

it("people are told the options of machines that the daemon knows", () => {
  const known = MachineInput.oneOf.map(
    ({ properties: { type, ...members } }: { properties: object & { type: { const: string } } }) => [
      type.const,
      Object.keys(members)
        .filter((name) => !OF_MEMORY.includes(name))
        .sort(),
    ],
  );
  const told = Object.entries(MACHINE_OPTIONS).map(([type, names]) => [type, [...names].sort()]);
  expect(told.sort()).toEqual(known.sort());
});

it.each([
  ["q35,accel=kvm,smm=on,amd-vcpu=on,usb=off", { type: "q35", "amd-vcpu": true }],
  [
    "pc-q35-9.0,usb=off,vmport=off,dump-guest-core=off,memory-backend=pc.ram,hpet=off,acpi=on",
    { type: "q35", version: "9.0" },
  ],
  ["microvm,pcie=on", { type: "microvm" }],
  ["microvm,pcie=off", { type: "microvm", pcie: false }],
  ["virt,gic-version=3,highmem=off", { type: "virt", "gic-version": "3", highmem: false }],
])("of %s what may be about memory is for the daemon to say", (text, machine) => {
  expect(parseMachine(text, undefined)).toEqual(machine);
});
