// Events in words for people. Names of types stay where we have no better words: a newer server may have others. Pure.

import type { PublishedEvent } from "../api/types.gen.ts";
import { isolated } from "../ui/words.ts";

type Data = Readonly<Record<string, unknown>>;

const text = (value: unknown): string => (typeof value === "string" || typeof value === "number" ? isolated(String(value).replaceAll("_", " ")) : "");
const within = (value: unknown): Data => (typeof value === "object" && value !== null ? (value as Data) : {});
const because = (cause: unknown): string => (text(cause) === "" ? "" : `: ${text(cause)}`);

function placeOf({ percent, stage }: Data): string {
  return [text(percent) === "" ? "" : `${text(percent)} %`, text(stage)].filter((one) => one !== "").join(", ");
}

/** What happened, without who it happened to. */
const WHAT: Readonly<Record<string, (data: Data) => string>> = {
  "epoch.started": ({ reset, clean_shutdown }) =>
    reset === true ? "The server started a new log" : clean_shutdown === false ? "The server started again, after it was killed" : "The server started",
  "job.submitted": ({ kind, state }) => `was submitted: ${text(kind)}, ${text(state)}`,
  "job.amended": () => "was changed",
  "job.scheduled": () => "waits for its time",
  "job.queued": ({ cause }) => `was queued${because(cause)}`,
  "job.started": ({ worker, attempt }) => `was started by ${text(worker) || "a worker"}, attempt ${text(attempt)}`,
  "job.adopted": ({ worker }) => `goes on with ${text(worker) || "its worker"}`,
  "job.progressed": ({ progress }) => `is at ${placeOf(within(progress)) || "work"}`,
  "job.items_added": () => "was given more items",
  "job.items_reported": () => "reported items",
  "job.checkpointed": () => "kept a checkpoint",
  "job.file_stored": ({ file }) => `stored the file ${text(within(file).name)}`,
  "job.attempt_failed": ({ error, timed_out }) => `${timed_out === true ? "timed out in" : "failed"} its attempt ${text(within(error).attempt)}`,
  "job.attempt_lost": ({ cause }) => `lost its run${because(cause)}`,
  "job.cancel_requested": () => "was asked to stop",
  "job.completed": () => "completed",
  "job.failed": ({ reason }) => `failed${because(reason)}`,
  "job.cancelled": ({ reason }) => `was cancelled${because(reason)}`,
  "job.retried": () => "was queued again by hand",
  "job.late_result": () => "had a result that came too late",
  "job.purged": () => "was purged",
  "jobs.forgotten": () => "Old jobs were forgotten",
  "queue.paused": ({ queue }) => `Queue ${text(queue)} was paused`,
  "queue.resumed": ({ queue }) => `Queue ${text(queue)} goes on`,
  "queue.draining": ({ queue }) => `Queue ${text(queue)} takes no new jobs`,
  "worker.joined": ({ name }) => `Worker ${text(name)} joined`,
  "worker.left": ({ cause }) => `A worker left${because(cause)}`,
  "schedule.changed": ({ name }) => `Schedule ${text(name)} was changed`,
  "schedule.fired": ({ name }) => `Schedule ${text(name)} fired`,
};

export function wordsOfEvent({ type, data }: Pick<PublishedEvent, "type" | "data">): string {
  return WHAT[type]?.(data).trim() ?? type;
}

/** The end of an id is what differs most. */
export function shortId(id: string): string {
  return id.slice(-8);
}

const NUMBER = new Intl.NumberFormat("en-US");

/** 48,213. */
export function numberOf(count: number): string {
  return NUMBER.format(count);
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${numberOf(count)} ${count === 1 ? one : many}`;
}
