// A schedule while it is written: texts of the form, the request they make, and which of them a problem is about. Pure.

import type { Missed, Overlap, Problem, ScheduleRequest, ScheduleRow } from "../../api/types.gen.ts";

export interface Draft {
  readonly name: string;
  readonly cron: string;
  readonly time_zone: string;
  /** The job as a kind and args, or whole as JSON. */
  readonly whole: boolean;
  readonly kind: string;
  readonly args: string;
  readonly job: string;
  readonly missed: Missed;
  readonly overlap: Overlap;
}

export type FieldName = "name" | "cron" | "time_zone" | "kind" | "args" | "job" | "missed" | "overlap";
export type Faults = Partial<Record<FieldName | "other", readonly string[]>>;

const pretty = (value: unknown): string => JSON.stringify(value, null, 2);

export function draftOf(row: ScheduleRow | null, zone = "UTC"): Draft {
  if (row === null) {
    return { name: "", cron: "", time_zone: zone, whole: false, kind: "", args: "{}", job: "", missed: "once", overlap: "queue" };
  }
  const { kind, args, ...rest } = row.job;
  return {
    name: row.name,
    cron: row.cron,
    time_zone: row.time_zone,
    whole: Object.keys(rest).length > 0,
    kind: typeof kind === "string" ? kind : "",
    args: pretty(args ?? {}),
    job: pretty(row.job),
    missed: row.missed,
    overlap: row.overlap,
  };
}

/** To the other way of writing the job, with what is written already, as far as it goes. */
export function turned(draft: Draft): Draft {
  if (!draft.whole) {
    const args = read(draft.args);
    return { ...draft, whole: true, job: pretty({ kind: draft.kind, args: "value" in args ? args.value : {} }) };
  }
  const job = read(draft.job);
  if (!("value" in job) || typeof job.value !== "object" || job.value === null) return { ...draft, whole: false };
  const { kind, args } = job.value as Record<string, unknown>;
  return { ...draft, whole: false, kind: typeof kind === "string" ? kind : draft.kind, args: pretty(args ?? {}) };
}

/** Whether that would drop something. */
export function losesOnTurn(draft: Draft): boolean {
  if (!draft.whole) return "fault" in read(draft.args);
  const job = read(draft.job);
  if (!("value" in job) || typeof job.value !== "object" || job.value === null) return true;
  return Object.keys(job.value).some((key) => key !== "kind" && key !== "args");
}

function read(text: string): { readonly value: unknown } | { readonly fault: string } {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    return { fault: error instanceof Error ? error.message : "is not JSON" };
  }
}

/** The request; or what cannot be sent at all. The server judges the rest. */
export function requestOf(draft: Draft): { readonly body: ScheduleRequest } | { readonly faults: Faults } {
  const { name, cron, time_zone, missed, overlap } = draft;
  const text = read(draft.whole ? draft.job : draft.args);
  if ("fault" in text) return { faults: { [draft.whole ? "job" : "args"]: [`This is not JSON: ${text.fault}`] } };
  const job = draft.whole ? text.value : { kind: draft.kind.trim(), args: text.value };
  // Whether it is a job is the server's to say, with a pointer to what is wrong.
  return { body: { name: name.trim(), cron: cron.trim(), time_zone: time_zone.trim(), missed, overlap, job: job as ScheduleRequest["job"] } };
}

const FIELDS: readonly FieldName[] = ["name", "cron", "time_zone", "missed", "overlap"];

/** Each problem to the field that it is about. */
export function faultsOf(draft: Draft, code: string, errors: readonly Problem[], detail: string): Faults {
  const faults: Partial<Record<FieldName | "other", string[]>> = {};
  const add = (field: FieldName | "other", message: string): void => {
    (faults[field] ??= []).push(message);
  };
  for (const { pointer, message } of errors) {
    const [, first = "", second = "", ...rest] = pointer.split("/");
    const own = FIELDS.find((field) => field === first);
    if (own !== undefined) add(own, message);
    else if (first !== "job") add("other", `${pointer} ${message}`.trim());
    else if (draft.whole) add("job", second === "" ? message : `${["", second, ...rest].join("/")} ${message}`);
    else if (second === "args") add("args", rest.length === 0 ? message : `/${rest.join("/")} ${message}`);
    else add("kind", second === "kind" || second === "" ? message : `/${second} ${message}`);
  }
  if (errors.length > 0) return faults;
  if (code === "schedule_exists") add("name", detail);
  else if (code === "unknown_kind") add(draft.whole ? "job" : "kind", detail);
  else add("other", detail);
  return faults;
}
