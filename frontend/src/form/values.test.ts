import { expect, test } from "vitest";
import { isExactHere } from "../api/exact.ts";
import { faultsOf, check } from "./check.ts";
import { fieldOf, type ObjectField } from "./schema.ts";
import { countRounded, fromLocal, initial, read, readJson, readNumber, rounded, set, showJson, toLocal, Unread, valueAt, withDefaults, type Draft } from "./values.ts";

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
  expect(initial(fieldOf(schema))).toEqual({ steps: 8, loud: false, shape: { kind: "dot", r: 2 } });
});

test("what may be left out is, whatever is within it; when it is added it has its defaults", () => {
  const node = { type: "object", properties: { v: { type: "integer", default: 1 }, next: { $ref: "#/$defs/node" } } };
  const form = fieldOf({ type: "object", properties: { tree: { $ref: "#/$defs/node" } }, $defs: { node } }) as ObjectField;
  expect(initial(form)).toEqual({});
  expect(withDefaults(form.fields[0]?.[1] as ObjectField, {})).toEqual({ v: 1 });
});

test("a schema that refers to itself at many places, and must, is a form all the same", () => {
  const names = ["a", "b", "c", "d", "e", "f", "g", "h"];
  const node = { type: "object", properties: Object.fromEntries(names.map((name) => [name, { $ref: "#/$defs/node" }])) };
  expect(initial(fieldOf({ $ref: "#/$defs/node", $defs: { node } }))).toEqual({});
  expect(JSON.stringify(initial(fieldOf({ $ref: "#/$defs/node", $defs: { node: { ...node, required: names } } }))).length).toBeLessThan(10_000);
});

test("null is what a field begins with that must be there and may be null", () => {
  const maybe = { anyOf: [{ type: "boolean" }, { type: "null" }] };
  expect(initial(fieldOf({ type: "object", properties: { a: maybe, b: maybe, c: { enum: ["x", null] } }, required: ["a", "c"] }))).toEqual({ a: null, c: null });
});

test("an element of a list is blank as its type is, and named while it is", () => {
  const list = (items: object) => fieldOf({ type: "array", items, minItems: 1 });
  expect([{ type: "string" }, { type: "integer" }, { type: ["integer", "null"] }, { type: "integer", default: 4 }].map((items) => initial(list(items)))).toEqual([[""], [undefined], [null], [4]]);
  expect(read([1, undefined], "/args/n").faults).toEqual([{ pointer: "/args/n/1", message: "is missing" }]);
});

test("members with the names that every object has are members like others", () => {
  const names = ["constructor", "toString", "hasOwnProperty", "__proto__"];
  const properties = Object.fromEntries(names.map((name) => [name, { type: "string" }]));
  const field = fieldOf({ type: "object", properties }) as ObjectField;
  expect(initial(field)).toEqual({});
  const filled = names.reduce<Draft>((draft, name) => set(draft, name, "x"), {});
  for (const name of names) {
    expect(valueAt({}, `/${name}`)).toBeUndefined();
    expect(valueAt(filled, `/${name}`)).toBe("x");
  }
  expect(JSON.stringify(read(filled).value)).toBe('{"constructor":"x","toString":"x","hasOwnProperty":"x","__proto__":"x"}');
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
  expect(readNumber("many", false)).toBeInstanceOf(Unread);
});

test("a number whose digits a browser would change is kept as it is, or else not read", () => {
  expect(readNumber("9007199254740992", true)).toBe(2 ** 53);
  expect(readJson('{"a": 9007199254740992, "b": 1e300, "c": 0.12345678901234567890, "d": "9007199254740993"}')).not.toBeInstanceOf(Unread);
  const long = readJson('{"a": [9007199254740993]}');
  if (isExactHere) {
    expect(JSON.stringify(read(long).value)).toBe('{"a":[9007199254740993]}');
    expect(JSON.stringify(readNumber("-018446744073709551615", true))).toBe("-18446744073709551615");
    expect(rounded(read(long).value ?? null)).toEqual({ a: [2 ** 53] });
    return;
  }
  expect(read(long).faults[0]?.message).toContain("9007199254740993");
  expect([countRounded({ a: [2 ** 53, 1.5, 7], b: { c: 2 ** 60 } }), countRounded(null)]).toEqual([2, 0]);
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
