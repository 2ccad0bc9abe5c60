// The frames of `daybook.v1`, as the server sends them and as we send them. The one place that names wire fields;
// nothing here decides anything. Fields and types that we do not know are passed over: a newer server may have them.

/** A place in the log. `seq` starts again only after a reset; the epoch tells which log it means. */
export interface Position {
  readonly epoch: string;
  readonly seq: number;
}

export type Topic = "jobs" | "events" | "logs" | "queues" | "workers";

/** The filters of `GET /api/jobs` without `q`, and `id`; on `logs` only `id` and `after`. */
export interface Filter {
  readonly id?: string;
  readonly state?: string | readonly string[];
  readonly kind?: string;
  readonly queue?: string;
  readonly tag?: string;
  readonly parent_id?: string;
  readonly limit?: number;
  readonly after?: number;
}

/** A job without args and result. `seq` is that of its last event. */
export interface Row {
  readonly id: string;
  readonly seq: number;
  readonly state: string;
  readonly progress?: unknown;
  readonly [field: string]: unknown;
}

/** What happened, as the log has it. */
export interface LogEvent {
  readonly seq: number;
  readonly at: string;
  readonly type: string;
  readonly job_id: string | null;
  readonly [field: string]: unknown;
}

/** A line of a job's log. `n` counts from 1 within the job. */
export interface Line {
  readonly n: number;
  readonly at: string;
  readonly stream: string;
  readonly text: string;
}

export type Fields = Readonly<Record<string, unknown>>;

export interface StatusFrame {
  readonly type: "status";
  readonly epoch: string;
  readonly seq: number;
  readonly ping_s: number;
  readonly session?: string;
  readonly started_at?: string;
  readonly earliest?: number;
  readonly version?: string;
}

/** The frames that carry rows: `jobs`, or `queues` or `workers` on the topics of these names. */
export interface Rows {
  readonly jobs?: readonly Row[];
  readonly queues?: readonly Fields[];
  readonly workers?: readonly Fields[];
}

export type SubscriptionFrame =
  | { readonly type: "subscribed"; readonly id: string; readonly recovered: boolean; readonly mode: string; readonly seq: number }
  | { readonly type: "reset"; readonly id: string; readonly reason: string; readonly seq: number }
  | ({ readonly type: "snapshot"; readonly id: string; readonly seq: number; readonly more: boolean } & Rows)
  | ({
      readonly type: "changes";
      readonly id: string;
      readonly prev: number;
      readonly seq: number;
      readonly left?: readonly string[];
    } & Rows)
  | { readonly type: "events"; readonly id: string; readonly prev: number; readonly seq: number; readonly events: readonly LogEvent[] }
  | { readonly type: "bookmark"; readonly id: string; readonly prev: number; readonly seq: number }
  | { readonly type: "progress"; readonly id: string; readonly jobs: readonly { readonly id: string; readonly progress: unknown }[] }
  | { readonly type: "logs"; readonly id: string; readonly job_id: string; readonly lines: readonly Line[] }
  | { readonly type: "caught_up"; readonly id: string; readonly seq: number }
  | { readonly type: "fell_behind"; readonly id: string; readonly seq: number };

export type ServerFrame =
  | StatusFrame
  | SubscriptionFrame
  | { readonly type: "error"; readonly id?: string | null; readonly code: string; readonly detail?: string }
  | { readonly type: "ping" }
  | { readonly type: "goodbye"; readonly reason?: string; readonly retry_after_ms: number };

export type ClientFrame =
  | {
      readonly type: "subscribe";
      readonly id: string;
      readonly topic: Topic;
      readonly filter: Filter;
      readonly since: Position | null;
    }
  | { readonly type: "update"; readonly id: string; readonly filter: Filter }
  | { readonly type: "unsubscribe"; readonly id: string }
  | { readonly type: "pong" }
  | { readonly type: "hello"; readonly token: string };

/** What each frame must have, or it cannot be trusted: t text, n a whole number from 0, b a yes or no, l a list. */
const NEEDED: Readonly<Record<ServerFrame["type"], Readonly<Record<string, "t" | "n" | "b" | "l">>>> = {
  status: { epoch: "t", seq: "n" },
  subscribed: { id: "t", recovered: "b", mode: "t", seq: "n" },
  reset: { id: "t", reason: "t", seq: "n" },
  snapshot: { id: "t", seq: "n", more: "b" },
  changes: { id: "t", prev: "n", seq: "n" },
  events: { id: "t", prev: "n", seq: "n", events: "l" },
  bookmark: { id: "t", prev: "n", seq: "n" },
  progress: { id: "t", jobs: "l" },
  logs: { id: "t", job_id: "t", lines: "l" },
  caught_up: { id: "t", seq: "n" },
  fell_behind: { id: "t", seq: "n" },
  error: { code: "t" },
  ping: {},
  goodbye: { retry_after_ms: "n" },
};

function has(value: unknown, kind: "t" | "n" | "b" | "l"): boolean {
  switch (kind) {
    case "t":
      return typeof value === "string";
    case "n":
      return Number.isSafeInteger(value) && (value as number) >= 0;
    case "b":
      return typeof value === "boolean";
    case "l":
      return Array.isArray(value);
  }
}

/** Reads a frame: the frame; `"unknown"` for a type that came after us; `"bad"` for one that cannot be trusted. */
export function readFrame(text: string): ServerFrame | "unknown" | "bad" {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "bad";
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "bad";
  const fields = value as Record<string, unknown>;
  if (typeof fields.type !== "string") return "bad";
  if (!Object.hasOwn(NEEDED, fields.type)) return "unknown";
  const needed = NEEDED[fields.type as ServerFrame["type"]];
  const whole = Object.entries(needed).every(([name, kind]) => has(fields[name], kind));
  return whole ? (value as ServerFrame) : "bad";
}
