// The reference of the throughput bench: every line parsed and written back as JSON, one write a chunk, nothing else.
import { createServer } from "node:net";

createServer((socket) => {
  let rest = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    let out = "";
    for (const line of lines) out += `${JSON.stringify(JSON.parse(line))}\n`;
    socket.write(out);
  });
  socket.on("error", () => {});
}).listen(process.argv[2], () => console.error('{"msg":"listening"}'));
