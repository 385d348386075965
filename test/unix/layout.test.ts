import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { SOCKET_NUMBERS, SOCKET_STRUCTS, SUN_PATH } from "../../src/uapi/socket.ts";

const HEADERS = `#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <asm/socket.h>
#include <linux/sockios.h>
/* Linux 6.16: headers of another age lack it. */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif
`;

/** What a C compiler makes of the tables' names, in the order of the tables. */
function figuresFromC(): number[] {
  const values = [
    ...Object.keys(SOCKET_NUMBERS),
    "sizeof(((struct sockaddr_un *)0)->sun_path)",
    ...SOCKET_STRUCTS.flatMap(({ name, fields }) => [
      `sizeof(struct ${name})`,
      ...Object.keys(fields).flatMap((member) => [
        `offsetof(struct ${name}, ${member})`,
        `sizeof(((struct ${name} *)0)->${member})`,
      ]),
    ]),
  ];
  const statements = values.map((value) => `printf("%ld\\n", (long)${value});`).join("\n");
  const directory = mkdtempSync(join(tmpdir(), "iovad-"));
  const program = join(directory, "figures");
  try {
    execFileSync("gcc", ["-x", "c", "-", "-o", program], {
      input: `${HEADERS}int main(void){${statements}}`,
    });
    return execFileSync(program, { encoding: "utf8" }).trim().split("\n").map(Number);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

it.skipIf(spawnSync("gcc", ["--version"]).error)(
  "numbers and layouts of sockets are the C compiler's",
  () => {
    const ours = [
      ...Object.values(SOCKET_NUMBERS),
      SUN_PATH,
      ...SOCKET_STRUCTS.flatMap(({ size, fields }) => [
        size,
        ...Object.values(fields).flatMap(({ offset, width }) => [offset, width]),
      ]),
    ];
    expect(ours).toEqual(figuresFromC());
  },
);
