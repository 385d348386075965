import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runs } from "../runs.ts";
import { Client, type Message, request, startServer } from "./stub.ts";

let server: Awaited<ReturnType<typeof startServer>>;
let client: Client;
let witness: Client;
beforeAll(async () => {
  server = await startServer();
  client = await server.connect();
  witness = await server.connect();
});
afterAll(() => server.stop());

/** With a character of three bytes, escapes and an embedded brace, to be cut at each byte. */
const LINE = Buffer.from(`${JSON.stringify(request(7, "echo", { value: ['€ "}\n', { a: [1, null] }] }))}\n`);
const ANSWER = { jsonrpc: "2.0", id: 7, result: { value: ['€ "}\n', { a: [1, null] }] } };
const PREFIXES = Array.from(LINE, (_, length) => length);

/** How often the method of LINE has run. */
const calls = () => server.log.filter((name) => name === "echo").length;

const invalid = (code: number, id: unknown = null) => ({
  jsonrpc: "2.0",
  id,
  error: expect.objectContaining({ code, message: expect.any(String) }),
});

/** Sends bytes that make one bad line, and asserts what is answered and that the next request is answered too. */
async function expectAnswer(bytes: string | Uint8Array, answer: Message): Promise<void> {
  client.write(bytes);
  client.write("\n");
  expect(await client.next()).toEqual(answer);
  expect(await client.stillWorks()).toBe(true);
}

describe("a valid line", () => {
  it("of which any prefix has come does nothing, and completes with the rest", async () => {
    for (const length of PREFIXES) {
      client.write(LINE.subarray(0, length));
      // The witness is served after what has come before.
      expect(await witness.stillWorks()).toBe(true);
      const before = calls();
      client.write(LINE.subarray(length));
      expect(await client.next()).toEqual(ANSWER);
      expect(calls()).toBe(before + 1);
    }
  });

  it("of which only a prefix comes before the end is no JSON and does nothing", async () => {
    const before = calls();
    for (const length of PREFIXES) {
      const own = await server.connect();
      own.socket.end(LINE.subarray(0, length));
      const isWhole = length === LINE.length - 1;
      const expected = length === 0 ? [] : [isWhole ? ANSWER : invalid(-32700)];
      expect(await own.rest()).toEqual(expected);
    }
    expect(calls()).toBe(before + 1);
  });

  it("that comes byte by byte is answered once", async () => {
    for (const byte of LINE) {
      client.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    expect(await client.next()).toEqual(ANSWER);
    expect(await client.stillWorks()).toBe(true);
  });

  it("and others in chunks of any sizes are answered in order", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 2 * LINE.length }), { minLength: 1, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(sizes, async (lengths) => {
        const count = 10;
        const lines = Array.from({ length: count }, (_, id) => request(id, "echo", { value: `€${id}` }));
        const stream = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
        for (let from = 0, turn = 0; from < stream.length; turn++) {
          const size = lengths[turn % lengths.length] as number;
          client.write(stream.subarray(from, from + size));
          from += size;
          await new Promise(setImmediate);
        }
        for (let id = 0; id < count; id++) {
          expect(await client.next()).toEqual({ jsonrpc: "2.0", id, result: { value: `€${id}` } });
        }
      }),
      { numRuns: runs(20) },
    );
  });

  it("and another in one write are both answered", async () => {
    client.write(Buffer.concat([LINE, LINE]));
    expect([await client.next(), await client.next()]).toEqual([ANSWER, ANSWER]);
  });

  it("with two values is no JSON", async () => {
    const good = JSON.stringify(request(1, "echo"));
    await expectAnswer(`${good}${good}`, invalid(-32700));
    await expectAnswer(`${good} ${good}`, invalid(-32700));
    await expectAnswer(`${good},`, invalid(-32700));
  });
});

describe("a line that is no JSON", () => {
  it.each([
    ["a stray brace", "}"],
    ["an object that does not end", '{"jsonrpc":"2.0","id":1,"method":"echo"'],
    ["an array that does not end", '[{"jsonrpc":"2.0","id":1,"method":"echo"}'],
    ["a bracket that closes a brace", '{"jsonrpc":"2.0","id":1,"method":"echo"]'],
    ["a string that does not end", '{"jsonrpc":"2.0","id":1,"method":"echo'],
    ["single quotes", "{'jsonrpc':'2.0','id':1,'method':'echo'}"],
    ["a trailing comma", '{"jsonrpc":"2.0","id":1,"method":"echo",}'],
    ["a name without quotes", '{jsonrpc:"2.0"}'],
    ["a comment", '{"jsonrpc":"2.0","id":1,"method":"echo"} // please'],
    ["NaN", '{"jsonrpc":"2.0","id":NaN,"method":"echo"}'],
    ["a number with a leading zero", '{"jsonrpc":"2.0","id":01,"method":"echo"}'],
    ["a hexadecimal number", '{"jsonrpc":"2.0","id":0x1,"method":"echo"}'],
    ["an unknown escape", '{"jsonrpc":"2.0","id":"\\q","method":"echo"}'],
    ["half a \\u escape", '{"jsonrpc":"2.0","id":"\\u12","method":"echo"}'],
    ["an unknown word", "undefined"],
    ["a form feed", "\f"],
    ["a byte order mark alone", "\ufeff"],
    ["HTTP", "GET / HTTP/1.1"],
    ["QMP", "%p"],
  ])("(%s) is a parse error", async (_what, text) => {
    await expectAnswer(text, invalid(-32700));
  });

  it("with any control character in a string is a parse error, and DEL is none", async () => {
    for (let code = 0; code < 0x20; code++) {
      if (code === 0x0a) continue;
      const bytes = Buffer.concat([
        Buffer.from('{"jsonrpc":"2.0","id":"'),
        Buffer.of(code),
        Buffer.from('","method":"echo"}'),
      ]);
      await expectAnswer(bytes, invalid(-32700));
    }
    await expectAnswer('{"jsonrpc":"2.0","id":"\x7f","method":"echo"}', {
      jsonrpc: "2.0",
      id: "\x7f",
      result: {},
    });
  });

  it("with a byte that is never UTF-8 is a parse error, wherever it stands", async () => {
    const impossible = [0xc0, 0xc1, ...Array.from({ length: 11 }, (_, index) => 0xf5 + index)];
    for (const byte of [...impossible, 0x80, 0xbf]) {
      await expectAnswer(Buffer.of(byte), invalid(-32700));
      const inside = Buffer.from(JSON.stringify(request("xx", "echo")));
      inside[inside.indexOf("xx")] = byte;
      await expectAnswer(inside, invalid(-32700));
    }
  });

  it.each([
    ["a surrogate in UTF-8", [0xed, 0xa0, 0x80]],
    ["an overlong slash", [0xc0, 0xaf]],
    ["an overlong NUL", [0xe0, 0x80, 0x80]],
    ["a code point above U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
    ["half a character", [0xe2, 0x82]],
  ])("with %s is a parse error", async (_what, bytes) => {
    await expectAnswer(
      Buffer.concat([Buffer.from('{"id":"'), Buffer.from(bytes), Buffer.from('"}')]),
      invalid(-32700),
    );
  });
});

describe("a line that is JSON and no request", () => {
  it.each(["null", "true", "0", "1.5", '""', '"text"', "{}", '{"jsonrpc":"2.0"}'])(
    "(%s) is an invalid request",
    async (text) => {
      await expectAnswer(text, invalid(-32600));
    },
  );

  it.each([
    ["[]", invalid(-32600)],
    ["[{}]", [invalid(-32600)]],
    ["[null,null]", [invalid(-32600), invalid(-32600)]],
    ["[[]]", [invalid(-32600)]],
  ])("(%s) is an invalid batch", async (text, answer) => {
    await expectAnswer(text, answer);
  });

  it("has every member of every type, and only good ones are executed", async () => {
    const values = [null, true, false, 0, -1, 1.5, "", "echo", "2.0", [], {}];
    const before = calls();
    let executed = 0;
    for (const member of ["jsonrpc", "id", "method", "params"] as const) {
      for (const value of values) {
        const message = { ...request(1, "echo"), [member]: value };
        client.send(message);
        const answer = await client.next();
        const isGood =
          (member === "jsonrpc" && value === "2.0") ||
          (member === "id" && (value === null || typeof value === "number" || typeof value === "string")) ||
          (member === "method" && value === "echo") ||
          (member === "params" && JSON.stringify(value) === "{}");
        if (isGood) executed++;
        expect([JSON.stringify(message), "result" in answer]).toEqual([JSON.stringify(message), isGood]);
      }
    }
    expect(calls() - before).toBe(executed);
    expect(await client.stillWorks()).toBe(true);
  });

  it.each(["param", "parms", "Params", "__proto__", "constructor", "toString", "extra", ""])(
    "has the member %j, which is named, and nothing is executed",
    async (name) => {
      const before = calls();
      client.write(`{"jsonrpc":"2.0","id":1,"method":"echo",${JSON.stringify(name)}:{}}\n`);
      const answer = await client.next();
      expect(answer).toEqual(invalid(-32600, 1));
      expect(answer.error.message).toContain(JSON.stringify(name));
      expect(calls()).toBe(before);
      expect(await client.stillWorks()).toBe(true);
    },
  );

  it("has a member with a long name, which is not repeated at length", async () => {
    client.send({ ...request(1, "echo"), ["x".repeat(10_000)]: 1 });
    expect((await client.next()).error.message.length).toBeLessThan(200);
  });
});

describe("a member that is given twice", () => {
  it("counts as it was given last, everywhere", async () => {
    await expectAnswer('{"jsonrpc":"1.0","id":1,"method":"fail","method":"echo","jsonrpc":"2.0","id":2}', {
      jsonrpc: "2.0",
      id: 2,
      result: {},
    });
    await expectAnswer('{"jsonrpc":"2.0","id":1,"method":"echo","params":{"value":1,"value":2}}', {
      jsonrpc: "2.0",
      id: 1,
      result: { value: 2 },
    });
  });
});

describe("an id", () => {
  it.each(["0", "1e2", "-1.25", "1E-3", '"\\u0000"', '"\\ud800"', '"1"', '"null"', `"${"x".repeat(5000)}"`])(
    "(%.20s) comes back as JSON that means the same",
    async (text) => {
      client.write(`{"jsonrpc":"2.0","id":${text},"method":"echo"}\n`);
      expect((await client.next()).id).toEqual(JSON.parse(text));
      expect(await client.stillWorks()).toBe(true);
    },
  );

  it("may be the same in every request", async () => {
    client.send(...Array.from({ length: 5 }, () => request(1, "echo")));
    for (let i = 0; i < 5; i++) expect((await client.next()).id).toBe(1);
  });
});

describe("a connection that is reset", () => {
  it("after any number of bytes leaves the others alone", async () => {
    for (const length of [...PREFIXES, LINE.length]) {
      const own = new Client(server.path);
      own.write(LINE.subarray(0, length));
      // The greeting is still unread, so that the server sees ECONNRESET and not an end.
      own.socket.destroy();
      expect(await witness.stillWorks()).toBe(true);
    }
  });

  it("after any number of answers of many leaves the others alone", async () => {
    for (let count = 0; count < 10; count++) {
      const own = await server.connect();
      own.send(...Array.from({ length: 10 }, (_, id) => request(id, id % 2 ? "echo-later" : "big")));
      for (let read = 0; read < count; read++) await own.next();
      own.socket.destroy();
      expect(await witness.stillWorks()).toBe(true);
    }
  });
});
