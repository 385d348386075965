// stock-initrd.mjs FILE…: writes a cpio archive of the files, in one flat directory, to standard output. The format is
// "newc" of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
import { readFileSync } from "node:fs";
import { basename } from "node:path";

const padded = (bytes) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);

function entry(name, mode, data = Buffer.alloc(0)) {
  const fields = [0, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${name}\0`;
  return Buffer.concat([padded(Buffer.from(header)), padded(data)]);
}

for (const file of process.argv.slice(2)) {
  process.stdout.write(entry(basename(file), 0o100755, readFileSync(file)));
}
process.stdout.write(entry("TRAILER!!!", 0));
