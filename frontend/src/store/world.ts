// All that the page knows of the server, and how it changes when the server does. `clear()` forgets everything about
// jobs: after a reset nothing of the old log may be shown or asked for.

import { ACTIVE, getJob, getStats, listJobs, namesJob, notSent, type Api, type JobFilter } from "../api/index.ts";
import type { QueueRow, WorkerRow } from "../api/types.gen.ts";
import { EpochChanged, type Connection, type Position, type Sync, type SyncEvent } from "../sync/index.ts";
import { Active } from "./active.ts";
import { Aftermath, wordsOfAftermath } from "./aftermath.ts";
import { browserAround, type Around } from "./around.ts";
import { browserFrames, Frame, type Frames } from "./frame.ts";
import { JobWatch } from "./job.ts";
import type { ListParts } from "./list-parts.ts";
import { JobList } from "./list.ts";
import { Notices } from "./notices.ts";
import { overRestarts } from "./restarts.ts";
import { RowStore } from "./rows.ts";
import { Signal } from "./signal.ts";
import { Stats } from "./stats.ts";
import { Table } from "./tables.ts";

/** Which run of the server, and which log. The log's number grows at each reset. */
export interface Age {
  /** Null: the server has not spoken yet. */
  readonly epoch: string | null;
  readonly log: number;
}

export type Line = Pick<Sync, "subscribe" | "listen" | "connection" | "epoch" | "retry" | "fetch">;

/** So long the socket may say nothing before a request asks which run of the server it is. */
const SILENT_MS = 3_000;

const SILENT: ReadonlySet<Connection["state"]> = new Set(["connecting", "waiting", "offline", "stale"]);

export class World {
  readonly api: Api;
  readonly sync: Line;
  readonly rows: RowStore;
  /** Rows as they were at the moment that is looked at. */
  readonly pastRows: RowStore;
  /** The event after which the page shows things; null: it shows the present. */
  readonly at = new Signal<number | null>(null);
  /** When that event happened, as soon as it is known. */
  readonly moment = new Signal<string | null>(null);
  /** For stores of a page's own. */
  readonly frame: Frame;
  readonly active: Active;
  /** What the last restart did to the jobs. */
  readonly aftermath: Aftermath;
  readonly queues: Table<QueueRow>;
  readonly workers: Table<WorkerRow>;
  readonly stats: Stats;
  readonly notices = new Notices();
  readonly connection: Signal<Connection>;
  readonly age: Signal<Age>;
  readonly #parts: ListParts;
  readonly #lists = new Set<JobList>();
  readonly #clearers = new Set<() => void>();
  readonly #around: Around;
  /** Whether the socket was ever live. */
  #met = false;
  /** The largest seq that the run of now has shown us. */
  #seen = 0;
  #told: number | null = null;

  constructor(sync: Line, api: Api, frames: Frames = browserFrames(), around: Around = browserAround()) {
    const frame = new Frame(frames);
    const subscribe: ListParts["subscribe"] = (wanted, hear) => sync.subscribe(wanted, hear);
    this.sync = sync;
    this.frame = frame;
    this.api = api;
    this.#around = around;
    this.rows = new RowStore(frame);
    this.pastRows = new RowStore(frame);
    this.#parts = {
      subscribe,
      frame,
      rows: this.rows,
      page: (filter, cursor, limit, signal) => this.overRestarts(signal, () => listJobs(api, filter, { cursor, limit }, { signal })),
    };
    this.active = new Active({
      ...this.#parts,
      around,
      job: (id, signal) => getJob(api, id, undefined, { signal }),
      count: async (signal) => {
        const { jobs } = await getStats(api, { signal });
        return ACTIVE.reduce((sum, state) => sum + jobs[state], 0);
      },
      live: () => sync.connection.state === "live",
      epoch: () => this.age.get().epoch,
    });
    this.aftermath = new Aftermath({ subscribe, around });
    this.aftermath.view.listen(() => this.#tellAftermath());
    this.queues = new Table({ subscribe, frame, topic: "queues", key: (row: QueueRow) => row.name });
    this.workers = new Table({ subscribe, frame, topic: "workers", key: (row: WorkerRow) => row.session });
    this.connection = new Signal(sync.connection);
    this.age = new Signal<Age>({ epoch: sync.epoch, log: 0 });
    this.stats = new Stats({ api, rows: this.rows, around, epoch: () => this.age.get().epoch });
    this.age.listen(() => this.stats.renew());
    sync.listen((event) => this.#hear(event));
    around.after(SILENT_MS, () => void this.#askWhoIsThere());
  }

  /** False between the first word of another run of the server and what it turns out to be. */
  get decided(): boolean {
    const { epoch } = this.age.get();
    return epoch === null || this.sync.epoch === null || epoch === this.sync.epoch;
  }

  /** Sends a request, unless it would ask the log of another run of the server about a job of ours. */
  async fetch(input: string, init?: RequestInit): Promise<Response> {
    if (namesJob(input)) {
      // Nobody is asked to do something to a job later, when the server is there again.
      if (this.silent && (init?.method ?? "GET") !== "GET") throw notSent();
      await this.#heard(init?.signal);
    }
    // Whether it is the old log or another is not known yet: what is asked for may not be there any more.
    if (!this.decided) throw new EpochChanged(this.age.get().epoch, this.sync.epoch);
    return this.sync.fetch(input, init);
  }

  /** What reads is asked again when a restart ended it, unless the log is another one. */
  overRestarts<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
    return overRestarts(this.age, signal, ask);
  }

  /** Waits while a server that was heard is not: what answers next may have another log, in which one must not ask about
   *  a job of this one. Before it was ever heard nothing waits: the socket may be blocked, and requests answered. */
  #heard(signal?: AbortSignal | null): Promise<void> {
    if (!this.silent) return Promise.resolve();
    return new Promise((done, fail) => {
      const look = (): void => {
        if (this.silent && signal?.aborted !== true) return;
        stop();
        signal?.removeEventListener("abort", look);
        if (signal?.aborted === true) fail(signal.reason);
        else done();
      };
      const stop = this.connection.listen(look);
      signal?.addEventListener("abort", look);
    });
  }

  /** The server was heard, and is not now. */
  get silent(): boolean {
    return this.#met && SILENT.has(this.connection.get().state);
  }

  /** Nothing is asked for by the page's elements themselves either: the server is away, or not known for what it is. */
  get away(): boolean {
    return this.silent || !this.decided;
  }

  /** A list of a page's own, of the present or of the past for all its life. It does nothing before it is opened.
   *  `kept`: rows in memory, other than usual. */
  list(filter: JobFilter, kept?: number): JobList {
    const rows = filter.at === undefined ? this.rows : this.pastRows;
    return new JobList({ ...this.#parts, rows }, filter, undefined, kept);
  }

  /** Returns what closes it. */
  open(list: JobList): () => void {
    this.#lists.add(list);
    list.open();
    return () => {
      this.#lists.delete(list);
      list.close();
    };
  }

  /** Follows one job until what it returns is called. `onLeft`: the log goes on, and the job is not in it any more. */
  follow(id: string, onLeft?: () => void): () => void {
    const watch = new JobWatch(this.#parts, id, onLeft);
    watch.open();
    return () => watch.close();
  }

  /** Called at each `clear`, before anything is loaded afresh: query cache, selections, stored ids. */
  onClear(clear: () => void): () => void {
    this.#clearers.add(clear);
    return () => this.#clearers.delete(clear);
  }

  clear(): void {
    for (const clear of [...this.#clearers]) clear();
    for (const list of this.#lists) list.clear();
    this.active.clear();
    this.queues.clear();
    this.workers.clear();
    this.stats.clear();
    this.rows.clear();
    this.pastRows.clear();
    this.aftermath.clear();
    this.at.set(null);
    this.#seen = 0;
  }

  /** The socket may be blocked although requests are answered: pages must not wait for it for ever. */
  async #askWhoIsThere(): Promise<void> {
    if (this.age.get().epoch !== null) return;
    try {
      // Its answer names the epoch, which is all that is wanted of it.
      await this.api.raw("/health");
    } catch {
      // Nobody is there, or not ready: it is asked again.
    }
    this.#learnEpoch();
    if (this.age.get().epoch === null) this.#around.after(SILENT_MS, () => void this.#askWhoIsThere());
  }

  #learnEpoch(): void {
    // A new epoch while we have one is no news until it is decided what it is: nothing may be asked for before.
    const { epoch, log } = this.age.get();
    if (epoch === null && this.sync.epoch !== null) this.age.set({ epoch: this.sync.epoch, log });
  }

  #hear(event: SyncEvent): void {
    if (event.type === "connection") {
      if (event.connection.state === "live") this.#met = true;
      this.connection.set(event.connection);
      this.#learnEpoch();
      if (event.connection.state === "live") this.active.nowLive();
    } else if (event.type === "epoch") {
      const { log } = this.age.get();
      const reset = event.what === "reset";
      const kept = this.active.kept;
      const place = this.#seen > 0 ? { epoch: event.previous, seq: this.#seen } : kept;
      if (reset) this.clear();
      this.#seen = 0;
      this.age.set({ epoch: event.epoch, log: reset ? log + 1 : log });
      if (reset) {
        for (const list of this.#lists) list.renew();
        this.notices.say("warning", "The server began a new log", "All jobs of before are gone. This page shows the new log.");
      } else if (event.what === "unknown") this.notices.say("info", "The server restarted", "What became of the jobs of before is not known here.");
      else this.#tellRestart(place?.epoch === event.previous ? place : null, event.epoch);
    } else if ("seq" in event) this.#seen = Math.max(this.#seen, event.seq);
  }

  #tellRestart(place: Position | null, epoch: string): void {
    this.#told = this.notices.say("info", "The server restarted", "Jobs and their history are still there.");
    if (place !== null) this.aftermath.follow({ epoch: place.epoch, seq: place.seq }, epoch);
  }

  #tellAftermath(): void {
    const view = this.aftermath.view.get();
    if (view === null || this.#told === null || view.jobs.size === 0) return;
    const more = { label: "Show these jobs", run: () => this.aftermath.look(true) };
    this.notices.change(this.#told, { detail: wordsOfAftermath(view), stays_ms: null, more });
  }
}
