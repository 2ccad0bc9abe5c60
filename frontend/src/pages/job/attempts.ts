// The runs of a job, read from its events: when each began, who had it, and how it ended. Pure.

import type { PublishedEvent } from "../../api/types.gen.ts";

export interface Attempt {
  readonly seq: number;
  readonly number: number;
  readonly worker: string;
  readonly place: string;
  readonly began: string;
  readonly ended: string | null;
  /** In words; null while it runs. */
  readonly how: string | null;
  readonly detail: string | null;
  readonly tone: "good" | "bad" | "warn" | "plain";
}

type End = Pick<Attempt, "how" | "detail" | "tone">;

const text = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null);
const words = (value: unknown): string => (text(value) ?? "").replaceAll("_", " ");

function messageOf(data: Record<string, unknown>): string | null {
  const error = data.error as { readonly code?: unknown; readonly message?: unknown } | null | undefined;
  const message = text(error?.message);
  const code = text(error?.code);
  return code === null ? message : message === null ? code : `${code}: ${message}`;
}

function endOf({ type, data }: PublishedEvent): End | null {
  switch (type) {
    case "job.completed":
      return { how: "completed", detail: null, tone: "good" };
    case "job.failed":
      return { how: "failed", detail: messageOf(data) ?? words(data.reason), tone: "bad" };
    case "job.cancelled":
      return { how: "cancelled", detail: messageOf(data) ?? words(data.reason), tone: "plain" };
    case "job.attempt_failed":
      return { how: data.timed_out === true ? "timed out" : "failed", detail: messageOf(data), tone: "bad" };
    case "job.attempt_lost":
      return { how: "lost", detail: words(data.cause) + (data.counted === false ? ", not counted" : ""), tone: "warn" };
    case "job.queued":
      // Of the causes only these end a run.
      return ["released", "worker_left", "shutdown"].includes(String(data.cause)) ? { how: "given back", detail: words(data.cause), tone: "plain" } : null;
    default:
      return null;
  }
}

export function attemptsOf(events: readonly PublishedEvent[]): Attempt[] {
  const attempts: Attempt[] = [];
  for (const event of events) {
    const { seq, at, type, data } = event;
    if (type === "job.started") {
      const open = { ended: null, how: null, detail: null, tone: "plain" } as const;
      attempts.push({ seq, number: Number(data.attempt), worker: text(data.worker) ?? "", place: words(data.place), began: at, ...open });
      continue;
    }
    const last = attempts.at(-1);
    const end = last === undefined || last.ended !== null ? null : endOf(event);
    if (last !== undefined && end !== null) attempts[attempts.length - 1] = { ...last, ...end, ended: at };
  }
  return attempts;
}
