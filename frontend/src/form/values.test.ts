import { expect, test } from "vitest";
import { faultsOf, check } from "./check.ts";
import { fieldOf } from "./schema.ts";
import { fromLocal, initial, read, readJson, readNumber, set, showJson, toLocal, Unread, valueAt } from "./values.ts";

test("a form begins with the defaults, and nothing else", () => {
  const schema = {
    type: "object",
    properties: {
      steps: { type: "integer", default: 8 },
      prompt: { type: "string" },
      loud: { type: "boolean" },
      deep: { type: "object", properties: { a: { type: "string", default: "x" }, b: { type: "string" } } },
      shape: { oneOf: [{ type: "object", properties: { kind: { const: "dot" }, r: { type: "number", default: 2 } } }] },
    },
    required: ["prompt", "loud", "shape"],
  };
  expect(initial(fieldOf(schema))).toEqual({ steps: 8, loud: false, deep: { a: "x" }, shape: { kind: "dot", r: 2 } });
});

test("what is not set is left out, and what cannot be read is named", () => {
  expect(read({ a: undefined, b: 1, c: [new Unread("x")] }, "/args")).toEqual({
    value: { b: 1, c: [null] },
    faults: [{ pointer: "/args/c/0", message: "cannot be read as it stands" }],
  });
});

test("members are set and taken away", () => {
  expect(set({ a: 1, b: 2 }, "a", 3)).toEqual({ a: 3, b: 2 });
  expect(set({ a: 1 }, "a", undefined)).toEqual({});
  expect(valueAt({ a: [{ "b/c": 5 }] }, "/a/0/b~1c")).toBe(5);
});

test("numbers are read as they are written, or not at all", () => {
  expect(readNumber("1e3", false)).toBe(1000);
  expect(readNumber(" ", true)).toBeUndefined();
  expect(readNumber("1.5", true)).toBeInstanceOf(Unread);
  expect(readNumber("9007199254740993", true)).toBeInstanceOf(Unread);
  expect(readNumber("many", false)).toBeInstanceOf(Unread);
});

test("JSON is kept as it was typed as long as it is none", () => {
  expect(readJson('{"a": 1}')).toEqual({ a: 1 });
  expect(showJson(readJson("{"))).toBe("{");
});

test("local times go through RFC 3339 and come back", () => {
  const at = fromLocal("2026-03-01T12:30");
  expect(at).toMatch(/Z$/);
  expect(toLocal(at ?? "")).toBe("2026-03-01T12:30");
  expect(fromLocal("")).toBeUndefined();
});

const SCHEMA = { type: "object", properties: { steps: { $ref: "#/$defs/steps" }, deep: { type: "object", required: ["x"] } }, required: ["prompt"], $defs: { steps: { type: "integer", maximum: 5 } } };

test("the check names the leaves alone, each at its pointer", async () => {
  const faults = await check(SCHEMA, { steps: 8, deep: {} });
  expect(faults.map(({ pointer }) => pointer).sort()).toEqual(["/deep/x", "/prompt", "/steps"]);
  expect(faults.find(({ pointer }) => pointer === "/prompt")?.message).toBe("is missing");
});

test("the check says nothing about schemas that it cannot follow", async () => {
  expect(await check({ $ref: "https://elsewhere.invalid/x" }, {})).toEqual([]);
});

test("the same fault is named once", () => {
  const one = { keyword: "maximum", keywordLocation: "#/a", instanceLocation: "#/steps", error: "8 is greater than 5." };
  expect(faultsOf([one, { ...one, keywordLocation: "#/b" }])).toEqual([{ pointer: "/steps", message: "8 is greater than 5" }]);
});
