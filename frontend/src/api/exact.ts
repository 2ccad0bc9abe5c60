// Whole numbers that a browser would round, kept as they were written: the seed of a picture may have twenty digits. They
// go through as objects of the language's own, which JSON.stringify writes as they stand. Older browsers do not know them
// (before Chrome 114, Firefox 135, Safari 18.4) and round, as they always did: `isExactHere` tells.

/** What `JSON.rawJSON` makes. */
export interface Exact {
  readonly rawJSON: string;
}

interface NewJson {
  readonly rawJSON?: (text: string) => Exact;
  readonly isRawJSON?: (value: unknown) => boolean;
}
type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown;

const json = JSON as unknown as NewJson;
const LONG = /\d{16}/;
let found = false;

/** Whether long numbers are kept. */
export const isExactHere = json.rawJSON !== undefined;

/** Whether any was read so far: who copies objects must leave these alone. */
export const wasExactRead = (): boolean => found;

export function isExact(value: unknown): value is Exact {
  return json.isRawJSON?.(value) ?? false;
}

/** Of a whole number: a browser would make another one of it. */
export function losesDigits(source: string): boolean {
  return /^-?\d+$/.test(source) && BigInt(source) !== BigInt(Number(source));
}

/** The number itself, if it is one and loses nothing; undefined where it cannot be kept. */
export function exactOf(source: string): number | Exact | undefined {
  if (!losesDigits(source)) return Number(source);
  // JSON knows no zeros in front.
  return json.rawJSON?.(String(BigInt(source)));
}

const keep: Reviver = (_, value, context) => {
  const { source } = context ?? {};
  if (typeof value !== "number" || source === undefined || !losesDigits(source)) return value;
  found = true;
  return exactOf(source);
};

/** As JSON.parse, without a loss of digits where that can be. */
export function parseJson(text: string): unknown {
  return isExactHere && LONG.test(text) ? JSON.parse(text, keep as (key: string, value: unknown) => unknown) : JSON.parse(text);
}
