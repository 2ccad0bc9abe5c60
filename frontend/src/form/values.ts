// The values of a form: what it begins with, what changes in it, and what is sent. A draft has texts where a number or
// JSON is still being typed; what is sent is JSON only. Pure.

import { exactOf, isExact, isExactHere, losesDigits, parseJson, type Exact } from "../api/exact.ts";
import { own, type Field, type Json, type ObjectField } from "./schema.ts";

/** What somebody typed that is no value yet, kept as it was typed. */
export class Unread {
  readonly text: string;
  readonly why: string;
  constructor(text: string, why = "cannot be read as it stands") {
    this.text = text;
    this.why = why;
  }
}

/** Undefined: not set, and left out. */
export type Draft = undefined | null | boolean | number | Exact | string | Unread | readonly Draft[] | { readonly [name: string]: Draft };

export const isList = (value: unknown): value is readonly Draft[] => Array.isArray(value);
export const isRecord = (value: unknown): value is Readonly<Record<string, Draft>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Unread) && !isExact(value);

const LIST_MAX = 20;

/** What a field begins with: its default, or the least that is needed to show it. What may be left out is left out. */
export function initial(field: Field): Draft {
  if (field.initial !== undefined) return field.type === "object" ? withDefaults(field, field.initial) : field.initial;
  if (!field.required) return undefined;
  if (field.nullable) return null;
  switch (field.type) {
    case "const":
      return field.value;
    case "object":
      return withDefaults(field, {});
    case "boolean":
      return false;
    case "list":
      return Array.from({ length: Math.min(field.minItems, LIST_MAX) }, () => initial(field.element) ?? blank(field.element));
    case "variant":
      return set(withDefaults(field.variants[0]?.field, {}), field.tag, field.variants[0]?.value);
    default:
      return undefined;
  }
}

/** What an element of a list is, as long as nobody filled it in. */
export function blank(element: Field): Draft {
  if (element.nullable) return null;
  return element.type === "text" ? "" : undefined;
}

export function withDefaults(field: ObjectField | undefined, given: Draft): Draft {
  const known = isRecord(given) ? given : {};
  const filled = (field?.fields ?? []).map(([name, one]): readonly [string, Draft] => [name, own(known, name) === undefined ? initial(one) : known[name]]);
  return { ...known, ...Object.fromEntries(filled.filter(([, value]) => value !== undefined)) };
}

export const below = (pointer: string, step: string | number): string => `${pointer}/${String(step).replaceAll("~", "~0").replaceAll("/", "~1")}`;

/** What stands at a pointer. */
export function valueAt(draft: Draft, pointer: string): Draft {
  const steps = pointer.split("/").slice(1).map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  return steps.reduce<Draft>((value, step) => (isList(value) ? value[Number(step)] : isRecord(value) ? own(value, step) : undefined), draft);
}

/** Characters of all texts in it: about what it is on the wire. */
export function weight(draft: Draft): number {
  if (typeof draft === "string") return draft.length;
  if (isList(draft)) return draft.reduce<number>((sum, one) => sum + weight(one) + 2, 2);
  if (isRecord(draft)) return Object.entries(draft).reduce((sum, [name, one]) => sum + name.length + weight(one) + 4, 2);
  return 8;
}

/** A copy with one member changed; undefined takes it away. */
export function set(draft: Draft, name: string, value: Draft): Draft {
  const { [name]: _, ...rest } = isRecord(draft) ? draft : {};
  if (value === undefined) return rest;
  // The order of the members stays, for those who read the JSON.
  return isRecord(draft) && Object.hasOwn(draft, name) ? { ...draft, [name]: value } : { ...rest, [name]: value };
}

export interface Fault {
  /** Within the args: `/steps`. */
  readonly pointer: string;
  readonly message: string;
}

export interface Reading {
  readonly value: Json | undefined;
  readonly faults: readonly Fault[];
}

/** What is sent, and what cannot be sent. Fields that are not set are left out. */
export function read(draft: Draft, pointer = ""): Reading {
  if (draft instanceof Unread) return { value: undefined, faults: [{ pointer, message: draft.why }] };
  if (isList(draft)) {
    const parts = draft.map((one, at) => (one === undefined ? missing(below(pointer, at)) : read(one, below(pointer, at))));
    return { value: parts.map(({ value }) => value ?? null), faults: parts.flatMap(({ faults }) => faults) };
  }
  if (!isRecord(draft)) return { value: draft as Json | undefined, faults: [] };
  const parts = Object.entries(draft).map(([name, one]) => ({ name, ...read(one, below(pointer, name)) }));
  const members = parts.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value] as const]));
  return { value: Object.fromEntries(members), faults: parts.flatMap(({ faults }) => faults) };
}

const missing = (pointer: string): Reading => ({ value: undefined, faults: [{ pointer, message: "is missing" }] });

const tooLong = (source: string): string => `has a number of more digits than this browser keeps, ${source}; the command line sends it as it is`;

/** A number as it was typed. */
export function readNumber(text: string, integer: boolean): Draft {
  const source = text.trim();
  if (source === "") return undefined;
  const value = Number(source);
  if (!Number.isFinite(value) || (integer && !Number.isInteger(value))) return new Unread(text);
  return losesDigits(source) ? (exactOf(source) ?? new Unread(text, tooLong(source))) : value;
}

export function readJson(text: string): Draft {
  if (text.trim() === "") return undefined;
  try {
    const value = parseJson(text) as Json;
    const lost = isExactHere ? null : firstLost(text);
    return lost === null ? value : new Unread(text, tooLong(lost));
  } catch {
    return new Unread(text);
  }
}

const TEXTS = /"(?:[^"\\]|\\.)*"/g;
const WHOLE = /(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g;

/** The first number of a JSON text that would be changed by reading it. */
function firstLost(text: string): string | null {
  if (!/\d{16}/.test(text)) return null;
  return text.replaceAll(TEXTS, '""').match(WHOLE)?.find(losesDigits) ?? null;
}

/** How many whole numbers are so large that they may have been others before this browser read them. */
export function countRounded(value: unknown): number {
  if (isExactHere) return 0;
  if (typeof value === "number") return Number.isInteger(value) && !Number.isSafeInteger(value) ? 1 : 0;
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).reduce<number>((sum, one) => sum + countRounded(one), 0);
}

/** With plain numbers in the place of long ones: for what only compares. */
export function rounded(value: Json): Json {
  if (isExact(value)) return Number(value.rawJSON);
  if (Array.isArray(value)) return (value as readonly Json[]).map(rounded);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, rounded(one)]));
}

export function showJson(draft: Draft): string {
  if (draft instanceof Unread) return draft.text;
  return draft === undefined ? "" : JSON.stringify(read(draft).value, null, 2);
}

const two = (value: number): string => String(value).padStart(2, "0");

/** RFC 3339 to what `datetime-local` shows, in the zone of the page. */
export function toLocal(at: string): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "";
  const seconds = date.getSeconds() === 0 ? "" : `:${two(date.getSeconds())}`;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}${seconds}`;
}

/** And back: `datetime-local` knows no zone, the server wants one. */
export function fromLocal(local: string): string | undefined {
  const date = new Date(local);
  return local === "" || Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}
