// What happened between two moments, folded from the events in between. Pure; reading them is in `readBetween`.

import { listLog, type Api } from "../api/index.ts";
import type { Depth, PublishedEvent, QueueRow } from "../api/types.gen.ts";

/** More than these are not read: the page would ask for minutes, and say less. */
export const BETWEEN_MAX = 10_000;
const PAGE = 500;

export interface Between {
  readonly events: number;
  /** By type, most first. */
  readonly types: readonly (readonly [string, number])[];
  /** Different jobs. */
  readonly touched: number;
  readonly submitted: number;
  readonly started: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly retried: number;
  readonly lost: number;
}

export function foldBetween(events: readonly Pick<PublishedEvent, "type" | "job_id">[]): Between {
  const counts = new Map<string, number>();
  const jobs = new Set<string>();
  for (const { type, job_id } of events) {
    counts.set(type, (counts.get(type) ?? 0) + 1);
    if (job_id !== null) jobs.add(job_id);
  }
  const of = (type: string): number => counts.get(type) ?? 0;
  return {
    events: events.length,
    types: [...counts].sort(([, a], [, b]) => b - a),
    touched: jobs.size,
    submitted: of("job.submitted"),
    started: of("job.started"),
    completed: of("job.completed"),
    failed: of("job.failed"),
    cancelled: of("job.cancelled"),
    retried: of("job.retried"),
    lost: of("job.attempt_lost"),
  };
}

/** The events after `from`, up to and with `to`. */
export async function readBetween(api: Api, from: number, to: number, signal: AbortSignal | undefined): Promise<Between> {
  const events: PublishedEvent[] = [];
  let after = from;
  while (after < to) {
    const page = await listLog(api, { after, limit: Math.min(PAGE, to - after) }, { signal });
    const last = page.events.at(-1);
    if (last === undefined) break;
    events.push(...page.events.filter(({ seq }) => seq <= to));
    after = last.seq;
  }
  return foldBetween(events);
}

export const DEPTHS = ["running", "queued", "scheduled", "retryable", "blocked"] as const satisfies readonly (keyof Depth)[];

export function sumOf(queues: readonly Pick<QueueRow, "depth">[]): Depth {
  const sum = { running: 0, queued: 0, scheduled: 0, retryable: 0, blocked: 0 };
  for (const { depth } of queues) for (const state of DEPTHS) sum[state] += depth[state];
  return sum;
}

export function activeOf(depth: Depth): number {
  return DEPTHS.reduce((total, state) => total + depth[state], 0);
}

export interface QueueChange {
  readonly name: string;
  readonly before: number;
  readonly after: number;
}

/** Active jobs by queue, of all queues that one of the moments has; those that changed most first. */
export function queuesBetween(before: readonly QueueRow[], after: readonly QueueRow[]): readonly QueueChange[] {
  const names = [...new Set([...before, ...after].map(({ name }) => name))];
  const active = (rows: readonly QueueRow[], name: string): number => {
    const row = rows.find((one) => one.name === name);
    return row === undefined ? 0 : activeOf(row.depth);
  };
  return names
    .map((name) => ({ name, before: active(before, name), after: active(after, name) }))
    .sort((a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before) || (a.name < b.name ? -1 : 1));
}
