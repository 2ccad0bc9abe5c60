// Numbers against their budgets: a line for each, and `verdict` fails when one is over.

const over: string[] = [];

/** The value that so large a share of them does not pass. */
export function share(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * part) - 1))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => share(values, 0.5);
export const p95 = (values: readonly number[]): number => share(values, 0.95);

const written = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(1));

export function spread(values: readonly number[], unit = "ms"): string {
  const least = Math.min(...values);
  return `${values.length} times: least ${written(least)}, median ${written(median(values))}, p95 ${written(p95(values))}, most ${written(Math.max(...values))} ${unit}`;
}

export function say(what: string, detail: string): void {
  console.log(`          ${what.padEnd(46)} ${detail}`);
}

/** At most so much. Goes on, so that all numbers are seen. */
export function atMost(what: string, is: number, most: number, unit: string, detail = ""): void {
  check(what, is, is <= most, `at most ${most} ${unit}`, unit, detail);
}

export function atLeast(what: string, is: number, least: number, unit: string, detail = ""): void {
  check(what, is, is >= least, `at least ${least} ${unit}`, unit, detail);
}

function check(what: string, is: number, holds: boolean, bound: string, unit: string, detail: string): void {
  const line = `${what.padEnd(46)} ${`${written(is)} ${unit}`.padStart(12)}`;
  console.log(`${holds ? "   holds  " : "   OVER   "}${line}   ${bound}${detail === "" ? "" : `   (${detail})`}`);
  if (!holds) over.push(`${line}   (${bound})`.replaceAll(/ +/g, " "));
}

/** At the end of a test. */
export function verdict(): void {
  const found = over.splice(0);
  if (found.length > 0) throw new Error(`over budget:\n${found.join("\n")}`);
}
