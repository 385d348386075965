// Lines of a client that wishes nobody well, or only wants much: what `npm run stalls` and test/rpc/stalls.test.ts send.

const MiB = 1024 * 1024;

const call = (method, params, id = 1) => JSON.stringify({ jsonrpc: "2.0", id, method, params });
const execute = (method, params) => JSON.stringify({ execute: method, arguments: params, id: 1 });
const hex = (value) => `0x${BigInt(value).toString(16)}`;

/** As many of `element` as go into a line of `bytes`, with what stands around them. */
function full(element, around, bytes) {
  const room = bytes - around([]).length - 2;
  const count = Math.floor(room / (JSON.stringify(element(0xfffff)).length + 1));
  return around(Array.from({ length: count }, (_, index) => element(index)));
}

/** Ranges that neither overlap nor touch, in an order that makes sorting work. */
const scattered = (count, base = 0x1_0000_0000) =>
  Array.from({ length: count }, (_, index) => {
    const start = base + ((index * 7919) % count) * 0x2000;
    return { start: hex(start), last: hex(start + 0xfff) };
  });

const windows = (count) =>
  scattered(count).map((range, index) => ({ name: `w${index}`, ...range, required: index % 2 === 0 }));

/** Hosts that each allow all but some pieces of their own. */
const hosts = (count, ranges) =>
  Array.from({ length: count }, (_, index) => ({
    host: `node-${index}`,
    allowed: scattered(ranges, 0x1_0000_0000 + index * 0x400),
  }));

/**
 * [what, what makes the line] pairs, since to make them all takes seconds; `devices`: the names of the host's. `bytes`: how
 * long the long ones are. All but the last part are of JSON-RPC; those of QMP are marked so.
 */
export function hostileLines(devices, bytes = MiB) {
  const [device] = devices;
  const share = bytes / MiB;
  const many = (count) => Math.max(1, Math.round(count * share));
  const junk = { "{}": () => ({}), 0: () => 0, "[[]]": () => [[]] };
  const lists = Object.entries(junk).flatMap(([name, element]) => [
    [
      `invert-ranges, list of ${name}`,
      () => full(element, (ranges) => call("invert-ranges", { ranges }), bytes),
    ],
  ]);
  const host = (member, element) =>
    full(
      element,
      (list) => call("predict-allowed-ranges", { hosts: [{ host: "a", allowed: [], [member]: list }] }),
      bytes,
    );
  const batch = (count, each) => `[${Array.from({ length: count }, (_, id) => each(id)).join(",")}]`;
  const unknown = () =>
    Object.fromEntries(Array.from({ length: many(96_000) }, (_, index) => [`m${index}`, 1]));
  const valid = many(20_000);
  const named = devices.slice(0, 1024);
  return [
    ...lists,
    [
      "intersect-ranges, lists of {}",
      () =>
        full(
          () => [{}],
          (lists) => call("intersect-ranges", { lists }),
          bytes,
        ),
    ],
    [
      "intersect-ranges, empty lists",
      () =>
        full(
          () => [],
          (lists) => call("intersect-ranges", { lists }),
          bytes,
        ),
    ],
    [
      "a host's allowed, 0",
      () =>
        full(
          () => 0,
          (allowed) => call("predict-allowed-ranges", { hosts: [{ host: "a", allowed }] }),
          bytes,
        ),
    ],
    ["a host's devices, {}", () => host("devices", () => ({}))],
    ["a host's excluded, {}", () => host("excluded", () => ({}))],
    [
      "a host's excluded, causes of {}",
      () => host("excluded", () => ({ start: "0x0", last: "0x0", causes: [{}, {}] })),
    ],
    [
      "hosts, {}",
      () =>
        full(
          () => ({}),
          (list) => call("predict-allowed-ranges", { hosts: list }),
          bytes,
        ),
    ],
    [
      "devices, 0",
      () =>
        full(
          () => 0,
          (list) => call("predict-allowed-ranges", { devices: list }),
          bytes,
        ),
    ],
    [
      "layout, {}",
      () =>
        full(
          () => ({}),
          (layout) => call("check-layout", { layout, devices: [device] }),
          bytes,
        ),
    ],
    [
      "subscribe, events of {}",
      () =>
        full(
          () => ({}),
          (events) => call("subscribe", { events }),
          bytes,
        ),
    ],
    ["96,000 unknown members of params", () => call("query-version", unknown())],
    [
      "96,000 unknown members of a request",
      () => JSON.stringify({ jsonrpc: "2.0", id: 1, method: "query-version", ...unknown() }),
    ],
    [
      "500,000 newlines of mtree",
      () => call("check-layout", { mtree: "\n".repeat(many(500_000)), devices: [device] }),
    ],
    [
      "an mtree of 8,000 FlatViews",
      () =>
        call("check-layout", {
          mtree: 'FlatView #0\n AS "memory", root: system\n'.repeat(many(22_000)),
          devices: [device],
        }),
    ],
    ["a name of a method of 1 MiB", () => call("q".repeat(many(1_000_000)))],
    ["a name of a device of 1 MiB", () => call("query-devices", { device: "0".repeat(many(1_000_000)) })],
    ["an id of 1 MiB", () => call("query-version", {}, "i".repeat(many(1_000_000)))],
    ["an id of 1 MiB, all to be escaped", () => call("query-version", {}, "\u0001".repeat(many(170_000)))],
    ["nested 500,000 deep", () => "[".repeat(many(500_000)) + "]".repeat(many(500_000))],
    [
      "nested 60 deep, wide",
      () =>
        full(
          () => JSON.parse(`${"[".repeat(58)}${"]".repeat(58)}`),
          (value) => call("query-version", { value }),
          bytes,
        ),
    ],
    ["a line of 2 MiB", () => call("query-version", { value: "x".repeat(2 * bytes) })],
    ["a batch of 500,000 times 0", () => `[${"0,".repeat(many(500_000))}0]`],
    [
      "a batch of 100 times query-devices {device}",
      () => batch(100, (id) => call("query-devices", { device: devices[id % devices.length] }, id)),
    ],
    [
      "a batch of 100 times query-devices {device} of none",
      () => batch(100, (id) => call("query-devices", { device: "none" }, id)),
    ],
    ["a batch of 100 times query-devices", () => batch(100, (id) => call("query-devices", {}, id))],
    ["a batch of 100 times subscribe", () => batch(100, (id) => call("subscribe", {}, id))],
    ["a batch of 100 times rpc.discover", () => batch(100, (id) => call("rpc.discover", {}, id))],
    ["subscribe", () => call("subscribe")],
    ["query-devices of all", () => call("query-devices")],
    ["query-devices of all with users", () => call("query-devices", { users: true })],
    ["query-host-profile of all", () => call("query-host-profile")],
    ["explain-range of all", () => call("explain-range", { start: "0x0", last: "0xffffffffffffffff" })],
    ["predict-allowed-ranges of 1,024 devices", () => call("predict-allowed-ranges", { devices: named })],
    ["rpc.discover", () => call("rpc.discover")],
    ["query-schema", () => call("query-schema")],
    ["invert-ranges, valid", () => call("invert-ranges", { ranges: scattered(valid) })],
    [
      "intersect-ranges, valid, two lists",
      () => call("intersect-ranges", { lists: [scattered(valid / 2), scattered(valid / 2, 0x1_0000_0800)] }),
    ],
    [
      "intersect-ranges, valid, 4,000 lists",
      () =>
        call("intersect-ranges", {
          lists: Array.from({ length: many(4000) }, (_, index) =>
            scattered(5, 0x1_0000_0000 + index * 0x10_0000),
          ),
        }),
    ],
    [
      "find-free-range, valid",
      () => call("find-free-range", { size: "0x1000", avoid: scattered(valid), devices: [device] }),
    ],
    [
      "check-layout, 4,096 windows",
      () => call("check-layout", { layout: windows(many(4096)), devices: [device] }),
    ],
    [
      "check-layout, 4,096 windows, 1,024 devices",
      () => call("check-layout", { layout: windows(many(4096)), devices: named }),
    ],
    [
      "predict-allowed-ranges, one host of many ranges",
      () => call("predict-allowed-ranges", { hosts: hosts(1, valid) }),
    ],
    [
      "predict-allowed-ranges, 900 hosts",
      () => call("predict-allowed-ranges", { hosts: hosts(many(900), 18) }),
    ],
    [
      "explain-range, 900 hosts",
      () => call("explain-range", { start: "0x0", last: "0xffffffffffffffff", hosts: hosts(many(900), 18) }),
    ],
    [
      "4,096 requests in one write",
      () => Array.from({ length: many(4096) }, (_, id) => call("query-status", {}, id)).join("\n"),
    ],
    ["4,096 lines of junk in one write", () => "{]\n".repeat(many(4096)).trimEnd()],
  ];
}

/** [what, what makes the message] pairs of QMP's dialect. */
export function hostileMessages(devices, bytes = MiB) {
  const [device] = devices;
  return [
    [
      "QMP: invert-ranges, list of {}",
      () =>
        full(
          () => ({}),
          (ranges) => execute("invert-ranges", { ranges }),
          bytes,
        ),
    ],
    ["QMP: nested 500,000 deep", () => "[".repeat(bytes >> 1) + "]".repeat(bytes >> 1)],
    [
      "QMP: an id of objects",
      () => JSON.stringify({ execute: "query-version", id: Array.from({ length: bytes / 4 }, () => ({})) }),
    ],
    ["QMP: 1 MiB of blanks", () => " ".repeat(bytes)],
    ["QMP: 300,000 times {}", () => "{}".repeat(Math.round(bytes * 0.3))],
    ["QMP: 300,000 times }", () => "}".repeat(Math.round(bytes * 0.3))],
    ["QMP: 250,000 single-quoted strings", () => `[${"'',".repeat(bytes >> 2)}0]`],
    [
      "QMP: enable, list of strings",
      () =>
        full(
          () => "oob",
          (enable) => execute("qmp_capabilities", { enable }),
          bytes,
        ),
    ],
    ["QMP: query-qmp-schema", () => execute("query-qmp-schema")],
    ["QMP: subscribe", () => execute("subscribe")],
    ["QMP: query-devices {device}", () => execute("query-devices", { device })],
  ];
}

export const QMP_NEGOTIATION = JSON.stringify({ execute: "qmp_capabilities" });
