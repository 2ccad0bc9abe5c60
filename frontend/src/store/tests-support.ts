// What the stores' tests share: frames that a test turns, rows, and a subscription that a test speaks for.

import type { JobRow } from "../api/types.gen.ts";
import type { Filter, SubscriptionEvent, Wanted } from "../sync/index.ts";
import type { Frames } from "./frame.ts";
import type { ListParts } from "./list-parts.ts";

export class ManualFrames implements Frames {
  readonly #due: (() => void)[] = [];

  request(run: () => void): void {
    this.#due.push(run);
  }

  /** The next frame. */
  turn(): void {
    for (const run of this.#due.splice(0)) run();
  }
}

/** Ids that sort as their numbers do. */
export const idOf = (n: number): string => `01997f5a-6e00-7000-8000-${String(n).padStart(12, "0")}`;

export function rowOf(n: number, fields: Partial<JobRow> = {}): JobRow {
  const at = "2026-11-22T06:00:00.000Z";
  return {
    id: idOf(n),
    root_id: idOf(n),
    kind: "resize",
    queue: "default",
    state: "queued",
    reason: null,
    priority: 0,
    tags: [],
    attempt: 0,
    max_attempts: 2,
    lost_count: 0,
    max_lost: 5,
    progress: null,
    files: [],
    items: null,
    error: null,
    parent_id: null,
    depends_on: [],
    unique_key: null,
    worker: null,
    cancel_requested_at: null,
    created_at: at,
    scheduled_at: null,
    queued_at: at,
    started_at: null,
    finished_at: null,
    updated_at: at,
    purged_at: null,
    timeout_s: null,
    seq: n,
    ...fields,
  };
}

export class FakeServer {
  readonly asked: { wanted: Wanted; updates: Filter[]; closed: boolean }[] = [];
  #hear: (event: SubscriptionEvent) => void = () => {};

  readonly subscribe: ListParts["subscribe"] = (wanted, hear) => {
    const asked = { wanted, updates: [] as Filter[], closed: false };
    this.asked.push(asked);
    this.#hear = hear;
    return {
      id: "a",
      update: (filter) => void asked.updates.push(filter),
      close: () => {
        asked.closed = true;
      },
    };
  };

  snapshot(rows: readonly JobRow[], more = false, first = true): void {
    this.#hear({ type: "snapshot", id: "a", seq: 0, first, more, rows: rows as readonly (JobRow & Record<string, unknown>)[] });
  }

  changes(seq: number, rows: readonly JobRow[], left: readonly string[] = []): void {
    this.#hear({ type: "changes", id: "a", seq, rows: rows as readonly (JobRow & Record<string, unknown>)[], left });
  }

  say(event: SubscriptionEvent): void {
    this.#hear(event);
  }
}
