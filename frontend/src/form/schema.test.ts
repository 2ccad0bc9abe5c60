import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fieldOf, titleOf, type Field, type ObjectField } from "./schema.ts";

/** The field of one property. */
const of = (schema: unknown, root: object = {}): Field => {
  const whole = fieldOf({ type: "object", properties: { one: schema }, required: ["one"], ...root }) as ObjectField;
  return whole.fields[0]?.[1] as Field;
};

test("object: a field for each property, those first that must be filled in", () => {
  const field = fieldOf({ type: "object", properties: { b: { type: "string" }, a: { type: "integer" } }, required: ["a"] }) as ObjectField;
  expect(field.fields.map(([name, one]) => [name, one.type, one.required])).toEqual([
    ["a", "number", true],
    ["b", "text", false],
  ]);
});
test("nested object", () => expect(of({ type: "object", properties: { x: { type: "boolean" } } })).toMatchObject({ type: "object", fields: [["x", { type: "boolean" }]] }));
test("an object of unknown names is JSON", () => expect(of({ type: "object", additionalProperties: { type: "string" } }).type).toBe("json"));
test("$ref to $defs", () => expect(of({ $ref: "#/$defs/n", title: "Mine" }, { $defs: { n: { type: "integer", title: "Theirs", minimum: 2 } } })).toMatchObject({ type: "number", integer: true, minimum: 2, title: "Mine" }));
test("$ref that leads nowhere is JSON", () => expect(of({ $ref: "#/$defs/none" }).type).toBe("json"));
test("$ref to itself ends", () => {
  const field = fieldOf({ $defs: { t: { type: "object", properties: { t: { $ref: "#/$defs/t" } } } }, $ref: "#/$defs/t" });
  expect(JSON.stringify(field)).toContain('"json"');
});
test("single allOf", () => expect(of({ allOf: [{ type: "string", maxLength: 3 }], description: "d" })).toMatchObject({ type: "text", maxLength: 3, description: "d" }));
test("several allOf are JSON", () => expect(of({ allOf: [{ type: "string" }, { maxLength: 3 }] }).type).toBe("json"));
test.each(["date-time", "date", "time", "email", "uri"])("string of format %s", (format) => expect(of({ type: "string", format })).toMatchObject({ type: "text", format, long: false }));
test("string of a format that we do not know", () => expect(of({ type: "string", format: "ipv4" })).toMatchObject({ type: "text", format: null }));
test("long string: several lines", () => expect(of({ type: "string", maxLength: 500 })).toMatchObject({ type: "text", long: true, maxLength: 500 }));
test("path and pattern: one line", () => {
  expect(of({ type: "string", maxLength: 4096 })).toMatchObject({ long: false });
  expect(of({ type: "string", maxLength: 2000, pattern: "^http" })).toMatchObject({ long: false });
});
test("integer with bounds", () => expect(of({ type: "integer", minimum: 1, maximum: 9 })).toMatchObject({ type: "number", integer: true, minimum: 1, maximum: 9 }));
test("number with exclusive bounds", () => {
  expect(of({ type: "number", exclusiveMinimum: 0 })).toMatchObject({ integer: false, minimum: 0 });
  expect(of({ type: "integer", exclusiveMinimum: 0, exclusiveMaximum: 10 })).toMatchObject({ minimum: 1, maximum: 9 });
});
test("boolean", () => expect(of({ type: "boolean" }).type).toBe("boolean"));
test("enum", () => expect(of({ enum: ["a", 2] })).toMatchObject({ type: "choice", options: [{ value: "a", label: "a" }, { value: 2, label: "2" }] }));
test("values that read the same are told apart", () => expect(of({ enum: [1, "1", "a"] })).toMatchObject({ options: [{ label: "1" }, { label: '"1"' }, { label: "a" }] }));
test("enum with null", () => expect(of({ enum: ["a", null] })).toMatchObject({ type: "choice", nullable: true, options: [{ value: "a" }] }));
test("oneOf of consts with titles", () => expect(of({ oneOf: [{ const: 1, title: "One" }, { const: 2 }] })).toMatchObject({ type: "choice", options: [{ label: "One" }, { label: "2" }] }));
test("const", () => expect(of({ const: "v2" })).toMatchObject({ type: "const", value: "v2" }));
test("array of any of these", () => {
  expect(of({ type: "array", items: { type: "integer" }, minItems: 1, maxItems: 3 })).toMatchObject({ type: "list", element: { type: "number" }, minItems: 1, maxItems: 3 });
  expect(of({ type: "array", items: { type: "object", properties: { a: { type: "string" } } } })).toMatchObject({ element: { type: "object" } });
});
test("array without one schema for its elements is JSON", () => {
  expect(of({ type: "array" }).type).toBe("json");
  expect(of({ type: "array", prefixItems: [{ type: "string" }], items: {} }).type).toBe("json");
});
test("nullable as a list of types", () => expect(of({ type: ["string", "null"] })).toMatchObject({ type: "text", nullable: true }));
test("nullable as anyOf", () => expect(of({ anyOf: [{ $ref: "#/$defs/n" }, { type: "null" }] }, { $defs: { n: { type: "integer" } } })).toMatchObject({ type: "number", nullable: true }));
test("internally tagged oneOf", () => {
  const circle = { type: "object", title: "Circle", properties: { shape: { const: "circle" }, r: { type: "number" } }, required: ["shape", "r"] };
  const square = { type: "object", properties: { shape: { enum: ["square"] }, side: { type: "number" } }, required: ["shape"] };
  expect(of({ oneOf: [circle, { $ref: "#/$defs/s" }] }, { $defs: { s: square } })).toMatchObject({
    type: "variant",
    tag: "shape",
    variants: [
      { value: "circle", label: "Circle", field: { fields: [["shape", {}], ["r", { type: "number" }]] } },
      { value: "square", label: "square" },
    ],
  });
});
test("untagged oneOf is JSON", () => expect(of({ oneOf: [{ type: "string" }, { type: "integer" }] }).type).toBe("json"));
test("several types are JSON", () => expect(of({ type: ["string", "integer"] }).type).toBe("json"));
test("default, title, description", () => expect(of({ type: "integer", default: 8, title: "Steps", description: "More take longer." })).toMatchObject({ initial: 8, title: "Steps", description: "More take longer." }));
test("a name becomes a title", () => {
  expect(titleOf("max_depth")).toBe("Max depth");
  expect(titleOf("maxDepth")).toBe("Max depth");
});
test("base64 and binary are files", () => {
  expect(of({ type: "string", contentEncoding: "base64", contentMediaType: "image/png" })).toMatchObject({ type: "file", media: "image/png" });
  expect(of({ type: "string", format: "binary" })).toMatchObject({ type: "file" });
});
test("what is no schema at all is JSON", () => {
  expect(fieldOf(true).type).toBe("json");
  expect(fieldOf(null).type).toBe("json");
});

test("the schemas of the examples are all fields, and no JSON", () => {
  const folder = new URL("../../../schemas/kinds/", import.meta.url);
  for (const name of readdirSync(folder).filter((one) => one.endsWith(".schema.json"))) {
    const field = fieldOf(JSON.parse(readFileSync(new URL(name, folder), "utf8")) as unknown);
    expect(JSON.stringify(field), name).not.toContain('"json"');
  }
});
