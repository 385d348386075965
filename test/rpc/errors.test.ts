import { JSONRPCErrorException } from "json-rpc-2.0";
import { describe, expect, it } from "vitest";
import { HostError, type HostErrorClass } from "../../src/host/errors.ts";
import {
  ERROR_CODES,
  ERROR_SUMMARIES,
  invalidParams,
  isExpected,
  lineTooLong,
  quote,
  toErrorObject,
} from "../../src/rpc/errors.ts";

const CLASSES = Object.keys(ERROR_CODES) as HostErrorClass[];

describe("the table of error codes", () => {
  it("gives every class a code of its own", () => {
    expect(new Set(Object.values(ERROR_CODES)).size).toBe(CLASSES.length);
  });

  it("keeps to the codes that JSON-RPC leaves to servers", () => {
    for (const code of Object.values(ERROR_CODES)) {
      expect(code).toBeGreaterThanOrEqual(-32099);
      expect(code).toBeLessThanOrEqual(-32000);
    }
  });

  it("is the published one: codes are API", () => {
    expect(ERROR_CODES).toEqual({
      DeviceNotFound: -32001,
      DeviceBusy: -32002,
      DeviceNotReady: -32003,
      DeviceBlocked: -32004,
      ContextNotFound: -32005,
      IoasNotFound: -32006,
      IoasBusy: -32007,
      RangeConflict: -32008,
      NotSupported: -32009,
      PermissionDenied: -32010,
      LimitExceeded: -32011,
      AlreadyExists: -32012,
      KernelError: -32013,
      NotHeld: -32014,
    });
  });

  it("describes every class in one sentence of its own", () => {
    expect(new Set(Object.values(ERROR_SUMMARIES)).size).toBe(CLASSES.length);
    for (const summary of Object.values(ERROR_SUMMARIES)) expect(summary).toMatch(/^[A-Z].*\.$/);
  });
});

describe("toErrorObject", () => {
  it.each(CLASSES)("gives %s its code, its class and its data", (name) => {
    expect(toErrorObject(new HostError(name, "do this next", { errno: "EBUSY" }))).toEqual({
      code: ERROR_CODES[name],
      message: "do this next",
      data: { class: name, errno: "EBUSY" },
    });
  });

  it("lets no data take the place of the class", () => {
    expect(toErrorObject(new HostError("NotHeld", "", { class: "other" })).data).toEqual({
      class: "NotHeld",
    });
  });

  it("passes errors of JSON-RPC on", () => {
    expect(toErrorObject(invalidParams("why"))).toEqual({
      code: -32602,
      message: "Invalid params: why",
      data: { class: "InvalidParams" },
    });
  });

  it.each([new Error("/root/secret"), "text", null, undefined, { code: 1, message: "forged" }])(
    "says nothing of anything else (%s)",
    (error) => {
      const { code, message, data } = toErrorObject(error);
      expect(code).toBe(-32603);
      expect(message).not.toMatch(/secret|text|forged/);
      expect(data).toEqual({ class: "InternalError" });
    },
  );
});

describe("isExpected", () => {
  it("is true for errors of the host and of JSON-RPC, and false for faults", () => {
    expect(isExpected(new HostError("NotHeld", ""))).toBe(true);
    expect(isExpected(new JSONRPCErrorException("", 1))).toBe(true);
    expect(isExpected(new TypeError())).toBe(false);
  });
});

describe("lineTooLong", () => {
  it("is an invalid request with the class LimitExceeded, and says the limit", () => {
    expect(lineTooLong(4096)).toEqual({
      code: -32600,
      message: expect.stringContaining("4096 bytes"),
      data: { class: "LimitExceeded", limit: "max-request" },
    });
  });
});

describe("quote", () => {
  it("cuts what is long and escapes what is not print", () => {
    expect(quote("x".repeat(1000)).length).toBeLessThan(70);
    expect(quote('a"\n')).toBe('"a\\"\\n"');
  });
});
