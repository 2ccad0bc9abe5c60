// An event of a job in words: what happened, and the reason that it names. Pure; types that are not known stay readable.

import type { PublishedEvent } from "../../api/types.gen.ts";
import type { IconName } from "../../ui/index.ts";
import { isolated } from "../../ui/words.ts";

type Data = Readonly<Record<string, unknown>>;

const words = (value: unknown): string => (typeof value === "string" ? isolated(value.replaceAll("_", " ")) : "");
const count = (value: unknown): number => (Array.isArray(value) ? value.length : 0);

function errorOf(data: Data): string {
  const error = data.error as { readonly code?: unknown; readonly message?: unknown } | null | undefined;
  return typeof error?.message === "string" ? isolated(error.message) : words(error?.code);
}

function progressOf(data: Data): string {
  const progress = (data.progress ?? {}) as Data;
  const percent = typeof progress.percent === "number" ? `${Math.round(progress.percent)} %` : "";
  return [percent, words(progress.stage), typeof progress.message === "string" ? isolated(progress.message) : ""].filter((one) => one !== "").join(" · ");
}

function fileOf(data: Data): string {
  const file = (data.file ?? {}) as Data;
  return typeof file.name === "string" ? isolated(file.name) : "";
}

function amended(data: Data): string {
  return Object.entries(data)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${words(name)} ${isolated(Array.isArray(value) ? value.join(", ") : String(value))}`)
    .join(", ");
}

function itemsOf(data: Data): string {
  const states = new Map<string, number>();
  for (const { state } of (data.reports ?? []) as readonly { state: string }[]) states.set(state, (states.get(state) ?? 0) + 1);
  return [...states].map(([state, number]) => `${number} ${state}`).join(", ");
}

interface Words {
  readonly title: string;
  readonly icon: IconName;
  readonly detail: (data: Data) => string;
  /** Left out of the compact list: it comes often, and says little by itself. */
  readonly minor?: true;
}

const nothing = (): string => "";

const WORDS: Readonly<Record<string, Words>> = {
  "job.submitted": { title: "Submitted", icon: "submit", detail: (data) => (data.state === "queued" ? "" : words(data.state)) },
  "job.scheduled": { title: "Scheduled", icon: "scheduled", detail: nothing },
  "job.queued": { title: "Queued", icon: "queued", detail: (data) => words(data.cause) },
  "job.started": { title: "Started", icon: "running", detail: (data) => `attempt ${Number(data.attempt)} by ${typeof data.worker === "string" ? isolated(data.worker) : "a worker"}` },
  "job.adopted": { title: "Taken up again", icon: "running", detail: (data) => (typeof data.worker === "string" ? `by ${isolated(data.worker)}` : "") },
  "job.progressed": { title: "Progress", icon: "info", detail: progressOf, minor: true },
  "job.items_added": { title: "Items added", icon: "submit", detail: (data) => String(count(data.items)), minor: true },
  "job.items_reported": { title: "Items reported", icon: "info", detail: itemsOf, minor: true },
  "job.checkpointed": { title: "Checkpoint", icon: "info", detail: nothing, minor: true },
  "job.file_stored": { title: "File stored", icon: "info", detail: fileOf, minor: true },
  "job.amended": { title: "Changed", icon: "info", detail: amended },
  "job.attempt_failed": { title: "Attempt failed", icon: "retryable", detail: (data) => (data.timed_out === true ? `timed out: ${errorOf(data)}` : errorOf(data)) },
  "job.attempt_lost": { title: "Attempt lost", icon: "warning", detail: (data) => words(data.cause) + (data.counted === false ? ", not counted" : "") },
  "job.cancel_requested": { title: "Cancel asked for", icon: "cancelled", detail: (data) => words(data.reason) },
  "job.completed": { title: "Completed", icon: "completed", detail: nothing },
  "job.failed": { title: "Failed", icon: "failed", detail: (data) => [words(data.reason), errorOf(data)].filter((one) => one !== "").join(": ") },
  "job.cancelled": { title: "Cancelled", icon: "cancelled", detail: (data) => words(data.reason) },
  "job.retried": { title: "Retried", icon: "retryable", detail: (data) => (data.only_failed_items === true ? "failed items only" : "") },
  "job.late_result": { title: "Came too late", icon: "warning", detail: (data) => words(data.call) },
  "job.purged": { title: "Purged", icon: "close", detail: nothing },
};

export interface Told {
  readonly title: string;
  readonly icon: IconName;
  readonly detail: string;
  readonly minor: boolean;
}

export function told({ type, data }: PublishedEvent): Told {
  const known = WORDS[type];
  if (known === undefined) return { title: words(type.replace(/^job\./, "")), icon: "info", detail: "", minor: false };
  return { title: known.title, icon: known.icon, detail: known.detail(data), minor: known.minor === true };
}

/** The names of workers by their sessions, which is what an event names. */
export function workersOf(events: readonly PublishedEvent[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { data } of events) {
    if (typeof data.session === "string" && typeof data.worker === "string") names.set(data.session, data.worker);
  }
  return names;
}

export function actorOf({ actor }: PublishedEvent, workers: ReadonlyMap<string, string> = new Map()): string {
  return actor.id === null ? actor.type : `${actor.type} ${isolated(workers.get(actor.id) ?? actor.id)}`;
}
