// What the browser already knows to be wrong with the args: a hint while one types. The server checks again, and its
// word counts. The validator compiles nothing, so a strict policy lets it be.

import type { Schema, Validator } from "@cfworker/json-schema";
import { below, rounded, type Fault } from "./values.ts";
import type { Json } from "./schema.ts";

/** These only say that something within them is wrong. */
const CONTAINERS = new Set(["properties", "items", "prefixItems", "$ref", "allOf", "if", "then", "else", "dependentSchemas", "patternProperties", "contains"]);

const validators = new WeakMap<object, Promise<Validator>>();

function validatorOf(schema: object): Promise<Validator> {
  const known = validators.get(schema);
  if (known !== undefined) return known;
  // false: not only the first error.
  const made = import("@cfworker/json-schema").then(({ Validator }) => new Validator(rounded(schema as Json) as Schema, "2020-12", false));
  validators.set(schema, made);
  return made;
}

interface Output {
  readonly keyword: string;
  readonly keywordLocation: string;
  readonly instanceLocation: string;
  readonly error: string;
}

export function faultsOf(errors: readonly Output[]): Fault[] {
  const faults = errors
    .filter(({ keyword, keywordLocation }) => !CONTAINERS.has(keyword) && !/\/(anyOf|oneOf|if|not)\//.test(keywordLocation))
    .map(({ keyword, instanceLocation, error }): Fault => {
      const pointer = decodeURIComponent(instanceLocation.replace(/^#/, ""));
      const name = /"(.*)"\.?$/.exec(error)?.[1];
      if (keyword === "required" && name !== undefined) return { pointer: below(pointer, name), message: "is missing" };
      if (keyword === "anyOf" || keyword === "oneOf") return { pointer, message: "is none of what it may be" };
      return { pointer, message: wordsOf(error) };
    });
  return faults.filter((one, at) => faults.findIndex((other) => other.pointer === one.pointer && other.message === one.message) === at);
}

function wordsOf(error: string): string {
  const words = error.replace(/\.$/, "");
  return words.length > 160 ? `${words.slice(0, 160)} …` : words;
}

export async function check(schema: object, args: Json): Promise<readonly Fault[]> {
  try {
    return faultsOf((await validatorOf(schema)).validate(args).errors);
  } catch {
    // A schema that this validator cannot follow: then only the server speaks.
    return [];
  }
}
