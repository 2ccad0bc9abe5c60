// From the JSON Schema of a kind's args to a tree of fields. Pure. What a form cannot show well becomes a field of plain
// JSON, so that every schema has a form. The server's check is the authority; this only draws.

import { isExact, isExactHere } from "../api/exact.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type Schema = Readonly<Record<string, unknown>>;

interface Common {
  readonly title: string;
  readonly description: string | undefined;
  readonly required: boolean;
  /** Null is a value of its own. */
  readonly nullable: boolean;
  /** Undefined: it has none. */
  readonly initial: Json | undefined;
}

export type Format = "date-time" | "date" | "time" | "email" | "uri";

export interface ObjectField extends Common {
  readonly type: "object";
  readonly fields: readonly (readonly [name: string, field: Field])[];
}
export interface TextField extends Common {
  readonly type: "text";
  readonly format: Format | null;
  readonly long: boolean;
  readonly maxLength: number | undefined;
}
export interface NumberField extends Common {
  readonly type: "number";
  readonly integer: boolean;
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;
}
export interface BooleanField extends Common {
  readonly type: "boolean";
}
export interface ChoiceField extends Common {
  readonly type: "choice";
  readonly options: readonly { readonly value: Json; readonly label: string }[];
}
export interface ConstField extends Common {
  readonly type: "const";
  readonly value: Json;
}
export interface FileField extends Common {
  readonly type: "file";
  readonly media: string | undefined;
}
export interface ListField extends Common {
  readonly type: "list";
  readonly element: Field;
  readonly minItems: number;
  readonly maxItems: number | undefined;
}
export interface VariantField extends Common {
  readonly type: "variant";
  /** The member that tells which it is. */
  readonly tag: string;
  readonly variants: readonly { readonly value: Json; readonly label: string; readonly field: ObjectField }[];
}
export interface JsonField extends Common {
  readonly type: "json";
}

export type Field = ObjectField | TextField | NumberField | BooleanField | ChoiceField | ConstField | FileField | ListField | VariantField | JsonField;

/** Lists of lists and the like; a form cannot go on for ever. */
const DEPTH_MAX = 8;
/** So often may a schema refer to itself, one within the other, before it becomes JSON. */
const REPEATS_MAX = 3;
/** Among more choices nobody reads which two look the same. */
const COMPARED_MAX = 500;
/** Steps from a schema to what it stands for. */
const STEPS_MAX = 32;
/** A text that may be as long as this gets several lines; much longer ones are paths and addresses. */
const LONG_TEXT = { from: 300, below: 4096 };
const FORMATS: readonly string[] = ["date-time", "date", "time", "email", "uri"];

const isSchema = (value: unknown): value is Schema => typeof value === "object" && value !== null && !Array.isArray(value);
const isNull = (value: unknown): boolean => isSchema(value) && value.type === "null";
const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const number = (value: unknown): number | undefined => (isExact(value) ? Number(value.rawJSON) : typeof value === "number" && Number.isFinite(value) ? value : undefined);

/** A member of its own: every object has a `constructor` that nobody gave it. */
export function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** `max_depth` becomes "Max depth". */
export function titleOf(name: string): string {
  const words = name.replaceAll(/[_-]+/g, " ").replaceAll(/([a-z])([A-Z])/g, "$1 $2").trim();
  return words === "" ? name : words.charAt(0).toUpperCase() + words.slice(1).toLowerCase();
}

interface Place {
  readonly root: Schema;
  readonly name: string;
  readonly required: boolean;
  readonly depth: number;
  /** The references on the way here. */
  readonly refs: readonly string[];
}

export function fieldOf(schema: unknown): Field {
  const root = isSchema(schema) ? schema : {};
  return build(root, { root, name: "", required: true, depth: 0, refs: [] });
}

function at(root: Schema, pointer: string): unknown {
  const steps = pointer.split("/").slice(1).map((step) => decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~"));
  return steps.reduce<unknown>((value, step) => (typeof value === "object" && value !== null ? own(value as Record<string, unknown>, step) : undefined), root);
}

/** Two schemas, one of which is null. */
function besideNull(union: unknown): Schema | null {
  if (!Array.isArray(union) || union.length !== 2 || !union.every(isSchema)) return null;
  const others = union.filter((one) => !isNull(one));
  return others.length === 1 ? (others[0] ?? null) : null;
}

interface Plain {
  readonly schema: Schema;
  readonly nullable: boolean;
  readonly refs: readonly string[];
}

/** Follows `$ref`, a single `allOf` and null beside one schema, until a plain one is left. What stands outside wins. */
function plain(schema: Schema, root: Schema): Plain | null {
  let now = schema;
  let nullable = false;
  const refs: string[] = [];
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    const { $ref, allOf, anyOf, oneOf } = now;
    if (typeof $ref === "string") {
      const target = $ref.startsWith("#") ? at(root, $ref.slice(1)) : undefined;
      if (!isSchema(target)) return null;
      refs.push($ref);
      const { $ref: _, ...rest } = now;
      now = { ...target, ...rest };
    } else if (Array.isArray(allOf) && allOf.length === 1 && isSchema(allOf[0])) {
      const { allOf: _, ...rest } = now;
      now = { ...allOf[0], ...rest };
    } else {
      const other = besideNull(anyOf) ?? besideNull(oneOf);
      if (other === null) return { schema: now, nullable, refs };
      const { anyOf: _, oneOf: __, ...rest } = now;
      nullable = true;
      now = { ...other, ...rest };
    }
  }
  return null;
}

/** Not a number that the browser may have rounded: the server fills in the right one. */
const exact = (value: unknown): unknown => (!isExactHere && typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) ? undefined : value);

function isRepeated(refs: readonly string[]): boolean {
  return refs.some((ref) => refs.filter((one) => one === ref).length > REPEATS_MAX);
}

function build(given: Schema, from: Place): Field {
  const found = from.depth > DEPTH_MAX ? null : plain(given, from.root);
  const place = { ...from, refs: [...from.refs, ...(found?.refs ?? [])] };
  const schema = found?.schema ?? given;
  const types = Array.isArray(schema.type) ? (schema.type as readonly unknown[]) : [schema.type];
  const values = types.filter((one) => one !== "null");
  const common: Common = {
    title: text(given.title) ?? text(schema.title) ?? titleOf(place.name),
    description: text(given.description) ?? text(schema.description),
    required: place.required,
    nullable: (found?.nullable ?? false) || (values.length < types.length && values.length > 0),
    initial: exact(given.default ?? schema.default) as Json | undefined,
  };
  if (found === null || isRepeated(place.refs) || values.length > 1 || Array.isArray(schema.allOf) || Array.isArray(schema.anyOf)) return { ...common, type: "json" };
  return variant(schema, common, place) ?? valued(schema, common) ?? typed(values[0], schema, common, place) ?? { ...common, type: "json" };
}

function valued(schema: Schema, common: Common): Field | null {
  if ("const" in schema) return { ...common, type: "const", value: schema.const as Json };
  const { oneOf } = schema;
  if (Array.isArray(oneOf) && oneOf.length > 0 && oneOf.every((one) => isSchema(one) && "const" in one)) {
    const options = (oneOf as readonly Schema[]).map((one) => ({ value: one.const as Json, label: text(one.title) }));
    return { ...common, type: "choice", options: labelled(options) };
  }
  if (!Array.isArray(schema.enum)) return null;
  const values = (schema.enum as readonly Json[]).filter((value) => value !== null);
  const options = labelled(values.map((value) => ({ value, label: undefined })));
  return { ...common, nullable: common.nullable || values.length < schema.enum.length, type: "choice", options };
}

/** Two values that would read the same, as 1 and "1", are told apart by their JSON. */
function labelled(options: readonly { readonly value: Json; readonly label: string | undefined }[]): ChoiceField["options"] {
  const named = options.map(({ value, label }) => ({ value, label: label ?? labelOf(value) }));
  const isTwice = (label: string): boolean => named.filter((one) => one.label === label).length > 1;
  return named.map(({ value, label }) => ({ value, label: named.length <= COMPARED_MAX && isTwice(label) ? JSON.stringify(value) : label }));
}

function labelOf(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function typed(type: unknown, schema: Schema, common: Common, place: Place): Field | null {
  if (Array.isArray(schema.oneOf)) return null;
  switch (type) {
    case "object":
      return object(schema, common, place);
    case "string":
      return string(schema, common);
    case "integer":
    case "number":
      return numeric(type === "integer", schema, common);
    case "boolean":
      return { ...common, type: "boolean" };
    case "array":
      return list(schema, common, place);
    default:
      return isSchema(schema.properties) && type === undefined ? object(schema, common, place) : null;
  }
}

function object(schema: Schema, common: Common, place: Place): ObjectField | JsonField {
  const required: readonly unknown[] = Array.isArray(schema.required) ? schema.required : [];
  const entries = isSchema(schema.properties) ? Object.entries(schema.properties) : [];
  // Names that nobody knows beforehand: a map.
  if (entries.length === 0 && schema.additionalProperties !== false) return { ...common, type: "json" };
  let fields: ObjectField["fields"] | null = null;
  // When they are looked at and not before: a schema that refers to itself at many places is larger than the world.
  const made = (): ObjectField["fields"] =>
    entries
      .map(([name, one]): readonly [string, Field] => [
        name,
        build(isSchema(one) ? one : {}, { ...place, name, required: required.includes(name), depth: place.depth + 1 }),
      ])
      // The server hands schemas out with their names sorted; what must be filled in comes first.
      .toSorted(([, a], [, b]) => neededFirst(a) - neededFirst(b));
  return {
    ...common,
    type: "object",
    get fields() {
      return (fields ??= made());
    },
  };
}

const neededFirst = (field: Field): number => (field.required && field.initial === undefined ? 0 : 1);

function string(schema: Schema, common: Common): Field {
  const format = text(schema.format);
  const media = text(schema.contentMediaType);
  if (schema.contentEncoding === "base64" || format === "binary" || format === "byte") return { ...common, type: "file", media };
  const maxLength = number(schema.maxLength);
  const known = format !== undefined && FORMATS.includes(format) ? (format as Format) : null;
  const roomy = maxLength !== undefined && maxLength >= LONG_TEXT.from && maxLength < LONG_TEXT.below;
  const long = format === "textarea" || media === "text/plain" || (roomy && known === null && schema.pattern === undefined);
  return { ...common, type: "text", format: known, long, maxLength };
}

function numeric(integer: boolean, schema: Schema, common: Common): NumberField {
  const above = number(schema.exclusiveMinimum);
  const below = number(schema.exclusiveMaximum);
  const minimum = number(schema.minimum) ?? (above === undefined || !integer ? above : Math.floor(above) + 1);
  const maximum = number(schema.maximum) ?? (below === undefined || !integer ? below : Math.ceil(below) - 1);
  return { ...common, type: "number", integer, minimum, maximum };
}

function list(schema: Schema, common: Common, place: Place): Field {
  if (!isSchema(schema.items) || Array.isArray(schema.prefixItems)) return { ...common, type: "json" };
  const element = build(schema.items, { ...place, name: "", required: true, depth: place.depth + 1 });
  return { ...common, type: "list", element, minItems: number(schema.minItems) ?? 0, maxItems: number(schema.maxItems) };
}

/** `oneOf` objects that one member with a `const` of its own tells apart. */
function variant(schema: Schema, common: Common, place: Place): Field | null {
  if (!Array.isArray(schema.oneOf) || schema.oneOf.length === 0) return null;
  const members = (schema.oneOf as readonly unknown[]).map((one) => (isSchema(one) ? (plain(one, place.root)?.schema ?? {}) : {}));
  const properties = members.map((one) => (isSchema(one.properties) ? one.properties : {}));
  const tag = Object.keys(properties[0] ?? {}).find((name) => properties.every((one) => constOf(own(one, name)) !== undefined));
  if (tag === undefined) return null;
  const variants = members.flatMap((one, index) => {
    const value = constOf(properties[index]?.[tag]);
    if (value === undefined) return [];
    const label = text(one.title) ?? labelOf(value);
    const field = object(one, { title: label, description: text(one.description), required: true, nullable: false, initial: undefined }, { ...place, depth: place.depth + 1 });
    return field.type === "object" ? [{ value, label, field }] : [];
  });
  const values = new Set(variants.map(({ value }) => JSON.stringify(value)));
  return values.size === members.length ? { ...common, type: "variant", tag, variants } : null;
}

function constOf(schema: unknown): Json | undefined {
  if (!isSchema(schema)) return undefined;
  if ("const" in schema) return schema.const as Json;
  return Array.isArray(schema.enum) && schema.enum.length === 1 ? (schema.enum[0] as Json) : undefined;
}
