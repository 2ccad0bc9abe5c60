// The bodies of `GET /api/history`, by hand: the schemas of this tree do not have them yet. Once they have, `npm run types`
// makes the same names, and this file goes.

/** How far back one looks: in buckets of 5 s, of a minute, of ten minutes, of a day (which begins at midnight UTC). */
export type HistorySpan = "5m" | "1h" | "24h" | "30d";

/** Of 100 times, how long 50, 95 and 99 took at most, in seconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

export interface HistoryBucket {
  readonly from: string;
  readonly submitted: number;
  readonly started: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Attempts that failed, also the last of a job that failed. */
  readonly attempts_failed: number;
  /** Runs that ended because a worker or the server went away. */
  readonly lost: number;
  /** How long the runs that began here had waited; null: none began. */
  readonly wait_s: Percentiles | null;
  /** How long the runs that ended here had taken; null: none ended. */
  readonly run_s: Percentiles | null;
}

export interface HistoryBody {
  readonly span: HistorySpan;
  readonly width_s: number;
  /** In order and without a hole; the last still fills. */
  readonly buckets: readonly HistoryBucket[];
  /** False for a moment after a start: what happened before it is still being read. */
  readonly complete: boolean;
  /** The first event in the log: what happened before is not counted. */
  readonly earliest: number;
  readonly seq: number;
  readonly epoch: string;
}
