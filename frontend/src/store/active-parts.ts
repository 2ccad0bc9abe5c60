// What the strip of active jobs is made of, and what it shows.

import type { JobBody } from "../api/types.gen.ts";
import type { Around } from "./around.ts";
import type { ListParts } from "./list-parts.ts";

/** Jobs on the strip at most. */
export const STRIP_ROWS = 20;

export interface StripView {
  /** Active, those that run first. */
  readonly ids: readonly string[];
  /** How many are active beside these. */
  readonly more: number;
  /** Ended while nobody looked, the latest first. */
  readonly ended: readonly JobBody[];
}

/** Nothing that the strip itself shows has changed: most changes are of single jobs, which their chips hear of. */
export function sameStrip(a: StripView, b: StripView): boolean {
  const equal = <T>(some: readonly T[], others: readonly T[]): boolean => some.length === others.length && some.every((one, at) => one === others[at]);
  return a.more === b.more && equal(a.ids, b.ids) && equal(a.ended, b.ended);
}

export interface ActiveParts extends ListParts {
  readonly around: Around;
  readonly job: (id: string, signal: AbortSignal) => Promise<JobBody>;
  /** How many are active. */
  readonly count: (signal: AbortSignal) => Promise<number>;
  /** Whether all that happens is seen as it does. */
  readonly live: () => boolean;
  /** Of the run that is decided about. */
  readonly epoch: () => string | null;
}
