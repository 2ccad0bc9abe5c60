// A server that is none: pages of as many rows as one likes, and changes of them, so many a second.

import { Api } from "../src/api/index.ts";
import type { JobRow } from "../src/api/types.gen.ts";
import type { Line } from "../src/store/index.ts";
import { idOf, rowOf } from "../src/store/tests-support.ts";
import type { SubscriptionEvent } from "../src/sync/index.ts";

const STATES = ["queued", "running", "completed", "failed", "retryable"] as const;

export class Source {
  readonly #rows: number;
  #newest: number;
  #seq: number;
  #hear: (event: SubscriptionEvent) => void = () => {};

  constructor(rows: number) {
    this.#rows = rows;
    this.#newest = rows;
    this.#seq = rows * 2;
  }

  readonly line: Line = {
    connection: { state: "live" } as Line["connection"],
    epoch: "bench",
    retry: () => {},
    listen: () => () => {},
    subscribe: (_, hear) => {
      this.#hear = hear;
      return { id: "a", update: () => {}, close: () => {} };
    },
  };

  /** `GET /api/jobs`, whose cursor is the number of the row before. */
  readonly api = new Api((path) => {
    const query = new URL(path, location.origin).searchParams;
    const from = Number(query.get("cursor") ?? this.#newest + 1) - 1;
    const jobs: JobRow[] = [];
    for (let n = from; n > 0 && jobs.length < Number(query.get("limit")); n--) jobs.push(this.#row(n, n));
    const last = from - jobs.length + 1;
    const body = { jobs, next_cursor: last > 1 ? String(last) : null };
    return Promise.resolve(new Response(JSON.stringify(body)));
  });

  snapshot(): void {
    const rows = Array.from({ length: 200 }, (_, at) => this.#row(this.#rows - at, this.#rows - at));
    this.#hear({ type: "snapshot", id: "a", seq: this.#seq, first: true, more: false, rows: rows as never });
  }

  /** Some of the rows around one, and new ones. */
  change(around: number, changed: number, added: number): void {
    const rows = [];
    for (let n = 0; n < changed; n++) {
      const number = Math.max(1, Math.min(this.#newest, around - Math.floor(Math.random() * 60)));
      rows.push(this.#row(number, (this.#seq += 1)));
    }
    for (let n = 0; n < added; n++) rows.push(this.#row((this.#newest += 1), (this.#seq += 1)));
    this.#hear({ type: "changes", id: "a", seq: this.#seq, rows: rows as never, left: [] });
  }

  numberAt(index: number): number {
    return this.#rows - index;
  }

  #row(n: number, seq: number): JobRow {
    const state = STATES[seq % STATES.length] ?? "queued";
    const at = new Date(Date.now() - (this.#rows - n) * 100).toISOString();
    const progress = state === "running" ? { percent: seq % 100, stage: "render", message: `frame ${seq}`, done: null, total: null, preview: null } : null;
    return rowOf(n, { id: idOf(n), seq, state, created_at: at, started_at: at, kind: `kind-${n % 7}`, tags: n % 3 === 0 ? ["red", "nightly"] : [], progress: progress as JobRow["progress"] });
  }
}
