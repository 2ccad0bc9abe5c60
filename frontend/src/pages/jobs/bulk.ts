// Cancelling and retrying many jobs: what it would change, and then doing it. All that match a filter go through the
// API's own action, call by call; selected ones go one by one, some at a time. No drawing here.

import { actOnJobs, ApiProblem, cancelJob, isTerminal, retryJob, type Api, type JobFilter } from "../../api/index.ts";
import type { Action, FilterShape, JobRow } from "../../api/types.gen.ts";

export type Target = { readonly filter: JobFilter } | { readonly ids: readonly string[] };

/** Selected at most; more is for a filter. */
export const IDS_MAX = 1_000;
/** Requests of single jobs on their way at once. */
const AT_ONCE = 6;
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

/** What the server would say to a row that we hold. Null: it would be changed, as far as we know. */
export function refusal(action: Action, row: JobRow | undefined): string | null {
  if (row === undefined) return null;
  if (action === "cancel") return isTerminal(row.state) ? "job_is_terminal" : null;
  return row.state === "failed" || row.state === "cancelled" ? null : "job_not_retryable";
}

/** What it would do. Nothing is changed. */
export async function preview(api: Api, action: Action, target: Target, rowOf: (id: string) => JobRow | undefined, signal: AbortSignal): Promise<Plan> {
  if ("ids" in target) {
    const looked = target.ids.slice(0, IDS_MAX);
    const codes = looked.map((id) => refusal(action, rowOf(id))).filter((code) => code !== null);
    // Also those that are refused as far as we know: the server knows better.
    return { changed: looked.length - codes.length, skipped: count(codes), more: target.ids.length > IDS_MAX, ids: looked };
  }
  const answer = await actOnJobs(api, { action, filter: filterOf(target.filter), dry_run: true }, { signal });
  return { changed: answer.changed.length, skipped: count(answer.skipped.map(({ code }) => code)), more: answer.more, ids: answer.changed };
}

/** Does it, and tells how far it is: to the very jobs that were shown, also when others match by now; to all that match if
 *  they were too many to be shown. Ended by the signal between two requests: what was done stays done. */
export async function perform(api: Api, action: Action, target: Target, plan: Plan, signal: AbortSignal, tell: (outcome: Outcome) => void): Promise<Outcome> {
  let done: Outcome = { changed: 0, skipped: {}, more: true };
  const told = (outcome: Outcome): void => tell((done = outcome));
  try {
    if ("filter" in target && plan.more) return await byFilter(api, action, target.filter, signal, told);
    const all = await oneByOne(api, action, plan.ids, signal, told);
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

async function oneByOne(api: Api, action: Action, ids: readonly string[], signal: AbortSignal, tell: (outcome: Outcome) => void): Promise<Outcome> {
  let changed = 0;
  let skipped: Readonly<Record<string, number>> = {};
  const left = [...ids].sort();
  const worker = async (): Promise<void> => {
    for (let id = left.shift(); id !== undefined && !signal.aborted; id = left.shift()) {
      try {
        await (action === "cancel" ? cancelJob(api, id) : retryJob(api, id));
        changed += 1;
      } catch (error) {
        // One job's own refusal does not stop the others; anything else does.
        if (!(error instanceof ApiProblem) || ![404, 409].includes(error.status)) {
          left.length = 0;
          throw error;
        }
        skipped = count([error.code], skipped);
      }
      tell({ changed, skipped, more: left.length > 0 });
    }
  };
  // What is on its way when one fails is waited for: then it is known how far it came.
  const ended = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker));
  const broken = ended.find((one) => one.status === "rejected");
  if (broken !== undefined) throw broken.reason;
  return { changed, skipped, more: left.length > 0 };
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
