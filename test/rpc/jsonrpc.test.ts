import { describe, expect, it } from "vitest";
import { whole } from "../../src/rpc/text.ts";
import { bystander, dispatcherOf, type Message, request, stubMethods } from "./stub.ts";

const CALL = bystander();

function setUp() {
  const stub = stubMethods();
  const reports: unknown[] = [];
  const rpc = dispatcherOf(stub.methods, (error) => reports.push(error));
  /** Answers one line, and makes sure that the next good request is answered too. */
  const answer = async (line: unknown): Promise<Message> => {
    const text = await rpc.answer(typeof line === "string" ? line : JSON.stringify(line), CALL, () => true);
    const next = await rpc.answer(JSON.stringify(request("next", "echo", { value: 1 })), CALL, () => true);
    expect(JSON.parse(next as string)).toEqual({ jsonrpc: "2.0", id: "next", result: { value: 1 } });
    return text === undefined ? undefined : JSON.parse(whole(text));
  };
  return { ...stub, rpc, reports, answer };
}

const answer = (line: unknown) => setUp().answer(line);
const failure = (code: number, id: unknown = null) => ({
  jsonrpc: "2.0",
  id,
  error: expect.objectContaining({ code, message: expect.any(String) }),
});

describe("the examples of the JSON-RPC 2.0 specification, params by name", () => {
  it("a call with named parameters", async () => {
    expect(await answer(request(3, "echo", { value: 23 }))).toEqual({
      jsonrpc: "2.0",
      id: 3,
      result: { value: 23 },
    });
  });

  it("a notification", async () => {
    expect(await answer('{"jsonrpc": "2.0", "method": "echo", "params": {"value": 1}}')).toBeUndefined();
    expect(await answer('{"jsonrpc": "2.0", "method": "foobar"}')).toBeUndefined();
  });

  it("a call of a method that does not exist", async () => {
    expect(await answer('{"jsonrpc": "2.0", "method": "foobar", "id": "1"}')).toEqual(failure(-32601, "1"));
  });

  it("a call with invalid JSON", async () => {
    expect(await answer('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]')).toEqual(
      failure(-32700),
    );
  });

  it("a call with an invalid Request object", async () => {
    expect(await answer('{"jsonrpc": "2.0", "method": 1, "params": "bar"}')).toEqual(failure(-32600));
  });

  it("a batch with invalid JSON", async () => {
    const batch = '[{"jsonrpc": "2.0", "method": "echo", "id": "1"}, {"jsonrpc": "2.0", "method"]';
    expect(await answer(batch)).toEqual(failure(-32700));
  });

  it("an empty array", async () => {
    const refused = await answer("[]");
    expect(refused).toEqual(failure(-32600));
    expect(refused.error.message).toContain("the batch is empty");
  });

  it("an invalid batch that is not empty", async () => {
    expect(await answer("[1]")).toEqual([failure(-32600)]);
  });

  it("an invalid batch", async () => {
    expect(await answer("[1,2,3]")).toEqual([failure(-32600), failure(-32600), failure(-32600)]);
  });

  it("a batch of everything", async () => {
    const batch = [
      request("1", "echo", { value: 7 }),
      { jsonrpc: "2.0", method: "echo", params: { value: 7 } },
      request("2", "echo", { value: 19 }),
      { foo: "boo" },
      request("5", "foo.get", { name: "myself" }),
      request("9", "echo-later"),
    ];
    expect(await answer(batch)).toEqual([
      { jsonrpc: "2.0", id: "1", result: { value: 7 } },
      { jsonrpc: "2.0", id: "2", result: { value: 19 } },
      failure(-32600),
      failure(-32601, "5"),
      { jsonrpc: "2.0", id: "9", result: {} },
    ]);
  });

  it("a batch of notifications only", async () => {
    const batch = [
      { jsonrpc: "2.0", method: "echo" },
      { jsonrpc: "2.0", method: "echo-later" },
    ];
    expect(await answer(batch)).toBeUndefined();
  });
});

describe("a message that is no request", () => {
  it.each(["null", "0", '""', "true", '"text"'])(
    "%s is an invalid request and not a parse error",
    async (line) => {
      expect(await answer(line)).toEqual(failure(-32600));
    },
  );

  it("[null] is a batch of one invalid request", async () => {
    expect(await answer("[null]")).toEqual([failure(-32600)]);
  });

  it("[[]] is a batch of one invalid request", async () => {
    const refused = await answer("[[]]");
    expect(refused).toEqual([failure(-32600)]);
    expect(refused[0].error.message).toContain("expected an object");
  });

  it.each([
    ["no jsonrpc", { id: 1, method: "echo" }],
    ["jsonrpc as a number", { jsonrpc: 2, id: 1, method: "echo" }],
    ["another version", { jsonrpc: "1.0", id: 1, method: "echo" }],
    ["no method", { jsonrpc: "2.0", id: 1 }],
    ["a method of null", { jsonrpc: "2.0", id: 1, method: null }],
    ["params of null", { jsonrpc: "2.0", id: 1, method: "echo", params: null }],
    ["params as text", { jsonrpc: "2.0", id: 1, method: "echo", params: "value" }],
    ["a result", { jsonrpc: "2.0", id: 1, method: "echo", result: 1 }],
    ["an error", { jsonrpc: "2.0", id: 1, method: "echo", error: null }],
    ["an answer", { jsonrpc: "2.0", id: 1, result: 1 }],
  ])("%s is refused under its own id", async (_what, message) => {
    expect(await answer(message)).toEqual(failure(-32600, 1));
  });
});

describe("a member that a request does not have", () => {
  it.each([
    [{ param: {} }, 'unknown member "param"; did you mean params?'],
    [{ method: undefined, metod: "echo" }, 'unknown member "metod"; did you mean method?'],
    [{ jsonrpc: undefined, josnrpc: "2.0" }, 'unknown member "josnrpc"; did you mean jsonrpc?'],
    [{ result: 1 }, "a request has no result"],
  ])("is named, before what is wrong without it: %j", async (members, message) => {
    const refused = await answer({ ...request(1, "echo"), ...members });
    expect(refused).toEqual(failure(-32600, 1));
    expect(refused.error.message).toContain(message);
  });
});

describe("ids", () => {
  it.each(["1", "-1", "0", "1.5", '"text"', '""', "null", '"é\\""', "9007199254740991"])(
    "%s is echoed",
    async (id) => {
      const [result, error] = await Promise.all([
        answer(`{"jsonrpc":"2.0","id":${id},"method":"frozen"}`),
        answer(`{"jsonrpc":"2.0","id":${id},"method":"refuse"}`),
      ]);
      expect([result.id, error.id]).toEqual([JSON.parse(id), JSON.parse(id)]);
    },
  );

  it.each(["{}", "[]", "true", "false", "1e999", "9007199254740993"])("%s is refused", async (id) => {
    expect(await answer(`{"jsonrpc":"2.0","id":${id},"method":"echo"}`)).toEqual(failure(-32600));
  });
});

describe("params", () => {
  it("by position are refused", async () => {
    expect(await answer('{"jsonrpc":"2.0","id":1,"method":"echo","params":[]}')).toEqual(failure(-32602, 1));
  });

  it("with an unknown member are refused before anything runs, and the member is named", async () => {
    const { answer, log } = setUp();
    const refused = await answer(request(1, "count", { valeu: 1 }));
    expect(refused).toEqual(failure(-32602, 1));
    expect(refused.error.message).toContain('"valeu"');
    expect(log).not.toContain("count");
  });

  it.each(["__proto__", "constructor", "toString", "hasOwnProperty"])(
    "with a member %s are refused like any unknown one",
    async (name) => {
      const refused = await answer(`{"jsonrpc":"2.0","id":1,"method":"echo","params":{"${name}":{}}}`);
      expect(refused).toEqual(failure(-32602, 1));
      expect(refused.error.message).toContain(name);
    },
  );

  it("absent are the same as none", async () => {
    expect(await answer(request(1, "echo"))).toEqual(await answer(request(1, "echo", {})));
  });
});

describe("method names", () => {
  it.each(["__proto__", "constructor", "toString", "", "ECHO", "rpc.on"])("%j is not found", async (name) => {
    expect(await answer(request(1, name))).toEqual(failure(-32601, 1));
  });

  it("are not repeated at length", async () => {
    const refused = await answer(request(1, "x".repeat(100_000)));
    expect(refused.error.message.length).toBeLessThan(200);
  });
});

describe("errors", () => {
  it.each(["refuse", "refuse-later"])("of the host carry code, class and data (%s)", async (name) => {
    expect(await answer(request(1, name))).toEqual({
      jsonrpc: "2.0",
      id: 1,
      error: { code: -32006, message: "no IOAS 7 in default", data: { class: "IoasNotFound", ioas: 7 } },
    });
  });

  it("that nobody expected say nothing to the client and everything to the log", async () => {
    const { answer, reports } = setUp();
    const refused = await answer(request(1, "fail"));
    expect(refused).toEqual(failure(-32603, 1));
    expect(JSON.stringify(refused)).not.toMatch(/secret|shadow|\.ts|at /);
    expect(reports).toEqual([expect.objectContaining({ message: "secret in /etc/shadow" })]);
  });

  it("of a notification are not answered, but an unexpected one is logged", async () => {
    const { answer, reports } = setUp();
    expect(await answer({ jsonrpc: "2.0", method: "fail" })).toBeUndefined();
    expect(await answer({ jsonrpc: "2.0", method: "refuse" })).toBeUndefined();
    expect(await answer({ jsonrpc: "2.0", method: "echo", params: { valeu: 1 } })).toBeUndefined();
    expect(reports).toHaveLength(1);
  });

  it("include a result that is not JSON", async () => {
    const { answer, reports } = setUp();
    expect(await answer(request(1, "not-json"))).toEqual(failure(-32603, 1));
    expect(reports).toEqual([expect.any(TypeError)]);
  });
});

describe("batches", () => {
  it("of one are answered with an array of one", async () => {
    expect(await answer([request(1, "echo")])).toEqual([{ jsonrpc: "2.0", id: 1, result: {} }]);
  });

  it("run one request after the other, also when one has to wait", async () => {
    const { rpc, log, gate, entered } = setUp();
    const batch = [request(1, "wait"), request(2, "echo"), request(3, "count")];
    const pending = rpc.answer(JSON.stringify(batch), CALL, () => true);
    await entered.opened;
    expect(log).toEqual(["wait"]);
    gate.open();
    const ids = JSON.parse(whole((await pending) ?? "")).map(({ id }: Message) => id);
    expect(ids).toEqual([1, 2, 3]);
    expect(log).toEqual(["wait", "echo", "count"]);
  });

  it("over the limit are refused as a whole, before anything runs", async () => {
    const { answer, log } = setUp();
    const refused = await answer(Array.from({ length: 101 }, (_, id) => request(id, "count")));
    expect(refused).toEqual(failure(-32011));
    expect(refused.error.data).toEqual({ class: "LimitExceeded", limit: "max-batch" });
    expect(log).not.toContain("count");
  });

  it("of exactly the limit are answered", async () => {
    expect(await answer(Array.from({ length: 100 }, (_, id) => request(id, "echo")))).toHaveLength(100);
  });

  it("go on after a request that fails", async () => {
    expect(await answer([request(1, "fail"), null, request(2, "echo")])).toEqual([
      failure(-32603, 1),
      failure(-32600),
      { jsonrpc: "2.0", id: 2, result: {} },
    ]);
  });
});

describe("nesting", () => {
  it("over the limit is refused, at any depth", async () => {
    for (const depth of [65, 100_000]) {
      const refused = await answer("[".repeat(depth) + "]".repeat(depth));
      expect(refused).toEqual(failure(-32011));
      expect(refused.error.data).toEqual({ class: "LimitExceeded", limit: "max-nesting" });
    }
  });

  it("over the limit is refused under its id, where that stands in the beginning", async () => {
    const deep = "[".repeat(100) + "]".repeat(100);
    expect(await answer(`{"jsonrpc":"2.0","id":7,"method":"echo","params":${deep}}`)).toMatchObject({
      id: 7,
    });
    const late = `{"method":"${"x".repeat(4096)}","params":${deep},"id":7}`;
    expect(await answer(late)).toMatchObject({ id: null, error: { code: -32011 } });
  });

  it("within the limit is no matter", async () => {
    const value = JSON.parse("[".repeat(62) + "]".repeat(62));
    expect((await answer(request(1, "echo", { value }))).result).toEqual({ value });
  });
});

describe("a frozen result", () => {
  it("is answered like any other, every time", async () => {
    const { answer } = setUp();
    const first = await answer(request('é"', "frozen"));
    expect(first).toEqual({ jsonrpc: "2.0", id: 'é"', result: { kept: ["é", 1] } });
    expect(await answer(request(null, "frozen"))).toEqual({ ...first, id: null });
    expect(await answer({ jsonrpc: "2.0", method: "frozen" })).toBeUndefined();
  });
});
