// What a restart of the server did to the jobs, from the events after the place that the page held: which go on, which
// wait again, which lost their run, which failed for it. Remote workers come back within their lease, so it is followed
// for a while. Events are folded; nothing is asked for.

import type { LogEvent, Position, SubscriptionEvent, SubscriptionHandle, Wanted } from "../sync/index.ts";
import type { Around } from "./around.ts";
import { Signal, type Readable } from "./signal.ts";

/** `lost`: its run is gone, and it waits again. `queued`: it was given back in order. */
export type Fate = "resumed" | "queued" | "lost" | "failed";

export interface JobFate {
  readonly fate: Fate;
  /** Why, in the log's word. */
  readonly cause: string | null;
  /** The event that says so. */
  readonly seq: number;
}

export interface AftermathView {
  /** Of the run that began. */
  readonly epoch: string;
  readonly jobs: ReadonlyMap<string, JobFate>;
  /** More happened than is followed. */
  readonly partial: boolean;
}

/** Longer than the usual lease of a worker that comes back. */
const FOLLOWED_MS = 90_000;
const EVENTS_MAX = 20_000;
const JOBS_MAX = 1_000;
/** The causes of `job.queued` that a stop of the server or of a worker has; others are everyday. */
const GIVEN_BACK: readonly unknown[] = ["shutdown", "worker_left", "released"];

/** What an event says of a job's fate; null: nothing. */
export function fateOf(event: LogEvent): JobFate | null {
  const data = (event.data ?? {}) as Record<string, unknown>;
  const said = (fate: Fate, cause: unknown): JobFate => ({ fate, cause: typeof cause === "string" ? cause : null, seq: event.seq });
  switch (event.type) {
    case "job.adopted":
      return said("resumed", null);
    case "job.attempt_lost":
      return said("lost", data.cause);
    case "job.queued":
      return GIVEN_BACK.includes(data.cause) ? said("queued", data.cause) : null;
    case "job.failed":
      return data.reason === "lost" ? said("failed", "lost") : null;
    default:
      return null;
  }
}

const WORDS: Readonly<Record<Fate, (count: number) => string>> = {
  resumed: (n) => `${n} ${n === 1 ? "job goes" : "jobs go"} on where ${n === 1 ? "it was" : "they were"}`,
  queued: (n) => `${n} ${n === 1 ? "was" : "were"} queued again`,
  lost: (n) => `${n} lost ${n === 1 ? "its run and is" : "their runs and are"} queued again`,
  failed: (n) => `${n} failed, lost too often`,
};

/** In one sentence. */
export function wordsOfAftermath({ jobs, partial }: AftermathView): string {
  if (jobs.size === 0) return "Jobs and their history are still there. No run was lost so far.";
  const parts = (Object.keys(WORDS) as Fate[]).flatMap((fate) => {
    const count = [...jobs.values()].filter((one) => one.fate === fate).length;
    return count === 0 ? [] : [WORDS[fate](count)];
  });
  return `${parts.join(", ")}.${partial ? " More happened than is followed here." : ""}`;
}

interface Parts {
  readonly subscribe: (wanted: Wanted, hear: (event: SubscriptionEvent) => void) => SubscriptionHandle;
  readonly around: Around;
}

export class Aftermath {
  readonly #parts: Parts;
  readonly #view = new Signal<AftermathView | null>(null);
  /** Whether its list is on view. */
  readonly looked = new Signal(false);
  #handle: SubscriptionHandle | null = null;
  #stop: (() => void) | null = null;
  #events = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get view(): Readable<AftermathView | null> {
    return this.#view;
  }

  /** From the last place of the run before. */
  follow(place: Position, epoch: string): void {
    this.clear();
    this.#view.set({ epoch, jobs: new Map(), partial: false });
    this.#handle = this.#parts.subscribe({ topic: "events", since: place }, (event) => this.#hear(event));
    this.#stop = this.#parts.around.after(FOLLOWED_MS, () => this.#end());
  }

  look(at: boolean): void {
    this.looked.set(at);
  }

  clear(): void {
    this.#end();
    this.look(false);
    this.#events = 0;
    this.#view.set(null);
  }

  #end(): void {
    this.#handle?.close();
    this.#handle = null;
    this.#stop?.();
    this.#stop = null;
  }

  #hear(event: SubscriptionEvent): void {
    const view = this.#view.get();
    if (view === null || event.type !== "events") {
      // Too much happened meanwhile to be told one by one.
      if (event.type === "reset" || event.type === "error") this.#end();
      return;
    }
    const jobs = new Map(view.jobs);
    for (const one of event.events) {
      const fate = one.job_id === null ? null : fateOf(one);
      if (fate !== null && one.job_id !== null && (jobs.has(one.job_id) || jobs.size < JOBS_MAX)) jobs.set(one.job_id, fate);
    }
    this.#events += event.events.length;
    const partial = this.#events > EVENTS_MAX || jobs.size >= JOBS_MAX;
    if (partial) this.#end();
    this.#view.set({ ...view, jobs, partial });
  }
}
