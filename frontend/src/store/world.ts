// All that the page knows of the server, and how it changes when the server does. `clear()` forgets everything about
// jobs: after a reset nothing of the old log may be shown or asked for.

import { listJobs, type Api, type JobFilter } from "../api/index.ts";
import type { QueueRow, WorkerRow } from "../api/types.gen.ts";
import type { Connection, Sync, SyncEvent } from "../sync/index.ts";
import { Active } from "./active.ts";
import { browserFrames, Frame, type Frames } from "./frame.ts";
import { JobWatch } from "./job.ts";
import type { ListParts } from "./list-parts.ts";
import { JobList } from "./list.ts";
import { Notices } from "./notices.ts";
import { RowStore } from "./rows.ts";
import { Signal } from "./signal.ts";
import { Table } from "./tables.ts";

/** Which run of the server, and which log. The log's number grows at each reset. */
export interface Age {
  /** Null: the server has not spoken yet. */
  readonly epoch: string | null;
  readonly log: number;
}

export type Line = Pick<Sync, "subscribe" | "listen" | "connection" | "epoch" | "retry">;

export class World {
  readonly api: Api;
  readonly sync: Line;
  readonly rows: RowStore;
  readonly active: Active;
  readonly queues: Table<QueueRow>;
  readonly workers: Table<WorkerRow>;
  readonly notices = new Notices();
  readonly connection: Signal<Connection>;
  readonly age: Signal<Age>;
  readonly #parts: ListParts;
  readonly #lists = new Set<JobList>();
  readonly #clearers = new Set<() => void>();

  constructor(sync: Line, api: Api, frames: Frames = browserFrames()) {
    const frame = new Frame(frames);
    const subscribe: ListParts["subscribe"] = (wanted, hear) => sync.subscribe(wanted, hear);
    this.sync = sync;
    this.api = api;
    this.rows = new RowStore(frame);
    this.#parts = {
      subscribe,
      frame,
      rows: this.rows,
      page: (filter, cursor, limit, signal) => listJobs(api, filter, { cursor, limit }, { signal }),
    };
    this.active = new Active(this.#parts);
    this.queues = new Table({ subscribe, frame, topic: "queues", key: (row: QueueRow) => row.name });
    this.workers = new Table({ subscribe, frame, topic: "workers", key: (row: WorkerRow) => row.session });
    this.connection = new Signal(sync.connection);
    this.age = new Signal<Age>({ epoch: sync.epoch, log: 0 });
    sync.listen((event) => this.#hear(event));
  }

  /** A list of a page's own. It does nothing before it is opened. `kept`: rows in memory, other than usual. */
  list(filter: JobFilter, kept?: number): JobList {
    return new JobList(this.#parts, filter, undefined, kept);
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

  /** Follows one job until what it returns is called. */
  follow(id: string): () => void {
    const watch = new JobWatch(this.#parts, id);
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
    this.rows.clear();
  }

  #hear(event: SyncEvent): void {
    if (event.type === "connection") {
      this.connection.set(event.connection);
      // A new epoch while we have one is no news until it is decided what it is: nothing may be asked for before.
      const { epoch, log } = this.age.get();
      if (epoch === null && this.sync.epoch !== null) this.age.set({ epoch: this.sync.epoch, log });
    } else if (event.type === "epoch") {
      const { log } = this.age.get();
      const reset = event.what === "reset";
      if (reset) this.clear();
      this.age.set({ epoch: event.epoch, log: reset ? log + 1 : log });
      if (reset) this.notices.say("warning", "The server began a new log", "All jobs of before are gone. This page shows the new log.");
      else this.notices.say("info", "The server restarted", "Jobs and their history are still there.");
    }
  }
}
