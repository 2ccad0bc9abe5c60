// Cancelling and retrying many jobs: what it would change, and then doing it to those very jobs, by the API's own action,
// call by call. No drawing here.

import { actOnJobs, type Api, type JobFilter } from "../../api/index.ts";
import type { Action, ActionRequest, FilterShape } from "../../api/types.gen.ts";

export type Target = { readonly filter: JobFilter } | { readonly ids: readonly string[] };

/** As many as one call names; more is for a filter. */
export const IDS_MAX = 10_000;
/** Done by one call: few enough that one sees it go on, and can stop it. */
const CHUNK = 500;
/** Calls of one action: 10,000 jobs each. */
const CALLS_MAX = 1_000;

export interface Outcome {
  readonly changed: number;
  /** How many were left as they are, by the code of the reason. */
  readonly skipped: Readonly<Record<string, number>>;
  /** There are more than this. */
  readonly more: boolean;
}

/** What would be changed: these, unless there are more than one look shows. */
export interface Plan extends Outcome {
  readonly ids: readonly string[];
}

/** Doing it broke off: what was done until then stays done. */
export class BrokenOff extends Error {
  readonly done: Outcome;
  constructor(done: Outcome, cause: unknown) {
    super("it broke off", { cause });
    this.done = done;
  }
}

export function filterOf({ state, kind, queue, tag, parent_id, q }: JobFilter): FilterShape {
  return Object.fromEntries(Object.entries({ state, kind, queue, tag, parent_id, q }).filter(([, value]) => value !== undefined && value.length > 0));
}

function count(codes: readonly string[], into: Readonly<Record<string, number>> = {}): Record<string, number> {
  const counts = { ...into };
  for (const code of codes) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
}

function requestOf(action: Action, target: Target): Omit<ActionRequest, "dry_run"> {
  return "ids" in target ? { action, filter: {}, ids: target.ids } : { action, filter: filterOf(target.filter) };
}

/** What it would do. Nothing is changed. */
export async function preview(api: Api, action: Action, target: Target, signal: AbortSignal): Promise<Plan> {
  const asked = "ids" in target ? { ids: target.ids.slice(0, IDS_MAX) } : target;
  const answer = await actOnJobs(api, { ...requestOf(action, asked), dry_run: true }, { signal });
  const cut = "ids" in target && target.ids.length > IDS_MAX;
  return { changed: answer.changed.length, skipped: count(answer.skipped.map(({ code }) => code)), more: answer.more || cut, ids: answer.changed };
}

/** Does it, and tells how far it is: to the very jobs that were shown, also when others match by now; to all that match if
 *  they were too many to be shown. Ended by the signal between two requests: what was done stays done. */
export async function perform(api: Api, action: Action, target: Target, plan: Plan, signal: AbortSignal, tell: (outcome: Outcome) => void): Promise<Outcome> {
  let done: Outcome = { changed: 0, skipped: {}, more: true };
  const told = (outcome: Outcome): void => tell((done = outcome));
  try {
    if ("filter" in target && plan.more) return await byFilter(api, action, target.filter, signal, told);
    const all = await byIds(api, action, plan.ids, signal, told);
    return { ...all, more: all.more || plan.more };
  } catch (cause) {
    throw new BrokenOff(done, cause);
  }
}

async function byFilter(api: Api, action: Action, filter: JobFilter, signal: AbortSignal, tell: (outcome: Outcome) => void): Promise<Outcome> {
  const changed = new Set<string>();
  const skipped = new Map<string, string>();
  const outcome = (more: boolean): Outcome => ({ changed: changed.size, skipped: count([...skipped.values()]), more });
  for (let calls = 0; calls < CALLS_MAX; calls++) {
    if (signal.aborted) return outcome(true);
    const before = changed.size;
    const answer = await actOnJobs(api, { action, filter: filterOf(filter), dry_run: false });
    for (const id of answer.changed) changed.add(id);
    for (const { id, code } of answer.skipped) if (!changed.has(id)) skipped.set(id, code);
    tell(outcome(answer.more));
    if (!answer.more) return outcome(false);
    // A running job that was asked to stop still matches: when only such ones come again, that is all one can do.
    if (changed.size === before) return outcome(true);
  }
  return outcome(true);
}

async function byIds(api: Api, action: Action, ids: readonly string[], signal: AbortSignal, tell: (outcome: Outcome) => void): Promise<Outcome> {
  let done: Outcome = { changed: 0, skipped: {}, more: false };
  // The oldest first: others may wait for it.
  const inOrder = ids.toSorted();
  for (let from = 0; from < inOrder.length; from += CHUNK) {
    if (signal.aborted) return { ...done, more: true };
    const answer = await actOnJobs(api, { ...requestOf(action, { ids: inOrder.slice(from, from + CHUNK) }), dry_run: false });
    const skipped = count(answer.skipped.map(({ code }) => code), done.skipped);
    done = { changed: done.changed + answer.changed.length, skipped, more: done.more || answer.more };
    tell({ ...done, more: done.more || from + CHUNK < inOrder.length });
  }
  return done;
}

const REASONS: Readonly<Record<string, string>> = {
  job_is_terminal: "already ended",
  job_not_retryable: "cannot be retried in their state",
  job_not_found: "no longer there",
  dependency_not_completed: "wait for jobs that did not complete",
  unique_conflict: "another job has their unique key",
};

/** "30 already ended, 2 no longer there". */
export function wordsOfSkipped(skipped: Readonly<Record<string, number>>): string {
  return Object.entries(skipped)
    .map(([code, jobs]) => `${jobs.toLocaleString("en")} ${REASONS[code] ?? code.replaceAll("_", " ")}`)
    .join(", ");
}
