import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, closeSync, mkdtempSync, openSync, readlinkSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LinuxKernel } from "../../src/kernel/linux/linux-kernel.ts";

// The compiled one: its threads run a compiled file. `npm test` builds it.
const compiled = new URL("../../dist/kernel/linux/linux-kernel.js", import.meta.url).href;
const { LinuxKernel: Compiled } = (await import(compiled)) as { LinuxKernel: new () => LinuxKernel };

let folder: string;
let kernel: LinuxKernel;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "iovad-open-")));
  kernel = new Compiled();
});
afterEach(async () => {
  await kernel.shutdown();
  rmSync(folder, { recursive: true });
});

/** A process with a file open; the function ends it. */
async function opened(path: string) {
  const process = spawn("sleep", ["600"], { stdio: ["ignore", openSync(path, "w"), "ignore"] });
  await once(process, "spawn");
  return {
    pid: process.pid,
    async end() {
      process.kill();
      await once(process, "exit");
    },
  };
}

describe("the files that other processes have open", () => {
  it("are found by the beginning of their paths, with who has them", async () => {
    const [one, two] = [await opened(join(folder, "one")), await opened(join(folder, "two"))];
    const found = await kernel.openFiles(`${folder}/o`);
    expect(found).toEqual([
      { path: join(folder, "one"), pid: one.pid, uid: process.geteuid?.(), command: "sleep" },
    ]);
    expect((await kernel.openFiles(`${folder}/`)).map(({ pid }) => pid).sort()).toEqual(
      [one.pid, two.pid].sort(),
    );
    await one.end();
    expect(await kernel.openFiles(`${folder}/o`)).toEqual([]);
    await two.end();
  });

  it.skipIf(process.geteuid?.() !== 0)("are found by another user who has CAP_SYS_PTRACE alone", async () => {
    chmodSync(folder, 0o755);
    const path = join(folder, "one");
    const [one, other] = [await opened(path), await opened(join(folder, "other"))];
    const search = `
      import { openFiles } from ${JSON.stringify(new URL("open-files.js", compiled).href)};
      console.log(JSON.stringify(openFiles(${JSON.stringify(`${folder}/`)})));`;
    const asOther = (capabilities: string) => {
      const privileges = [`--inh-caps=-all${capabilities}`, `--ambient-caps=-all${capabilities}`];
      const node = [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        ...privileges,
        "--",
        process.execPath,
      ];
      return JSON.parse(
        execFileSync("setpriv", [...node, "--input-type=module", "-e", search], {
          encoding: "utf8",
          cwd: "/",
        }),
      );
    };
    // This process has given it the file, and has it open, too.
    const others = asOther(",+sys_ptrace").filter(({ pid }: { pid: number }) => pid !== process.pid);
    const users = [one, other].map(({ pid }, n) => ({
      path: join(folder, n === 0 ? "one" : "other"),
      pid,
      uid: 0,
      command: "sleep",
    }));
    expect(others).toEqual(users);
    expect(asOther("")).toEqual([]);
    await one.end();
    await other.end();
  });

  // A service has its mounts to itself; whoever it hands its files to outlives them.
  it.skipIf(process.geteuid?.() !== 0)(
    "are found where the mount that they were opened by is gone",
    async () => {
      execFileSync("mount", ["-t", "tmpfs", "tmpfs", folder]);
      try {
        const [path, other] = [join(folder, "one"), join(folder, "two")];
        for (const each of [path, other]) closeSync(openSync(each, "w"));
        // Leaves the namespace in which it has opened the file, and is then the one that says so.
        const leave = `exec nsenter --mount=/proc/${process.pid}/ns/mnt sh -c 'echo; exec sleep 600'`;
        const heir = spawn("unshare", ["--mount", "sh", "-c", `exec 3<${path}; ${leave}`], {
          stdio: ["ignore", "pipe", "ignore"],
        });
        await once(heir.stdout, "data");
        expect(readlinkSync(`/proc/${heir.pid}/fd/3`)).toBe("/one");
        const found = await kernel.openFiles(`${folder}/`);
        expect(found.map(({ path, pid }) => ({ path, pid }))).toEqual([{ path, pid: heir.pid }]);
        heir.kill();
        await once(heir, "exit");
      } finally {
        execFileSync("umount", [folder]);
      }
    },
  );

  it("do not include this process's own", async () => {
    const fd = openSync(join(folder, "own"), "w");
    expect(await kernel.openFiles(folder)).toEqual([]);
    closeSync(fd);
  });

  it("are looked for off the event loop: turns of the loop go by until they are found", async () => {
    let turns = 0;
    let isFound = false;
    const search = kernel.openFiles(folder).then(() => {
      isFound = true;
    });
    while (!isFound) {
      await new Promise(setImmediate);
      turns++;
    }
    await search;
    expect(turns).toBeGreaterThan(1);
  });
});
