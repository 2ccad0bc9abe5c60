// One list of jobs, newest first: a live window of the newest that match, and pages below it as one scrolls down. Rows
// are in the row store; here are the ids. One subscription keeps all of it fresh: its changes come for every match.
// With a text (`q`), which no subscription knows, or in the past (`at`), all comes by pages. However far one scrolls,
// only some thousands of rows are kept: pages far away are given away (`refill.ts`).

import type { JobFilter } from "../api/calls.ts";
import type { JobRow, ProgressRow } from "../api/types.gen.ts";
import type { SubscriptionEvent, SubscriptionHandle } from "../sync/index.ts";
import { EMPTY, Fresh, HEAD_ROWS, HEAD_ROWS_MAX, HELD_BACK_MAX, KEPT_ROWS, Left, LIST_ROWS_MAX, LIVE_ROWS } from "./list-parts.ts";
import { liveFilter, PAGE_ROWS, PAGES_AT_ONCE, sameView, type ListParts, type ListView, type Page } from "./list-parts.ts";
import { Order } from "./order.ts";
import { Refill } from "./refill.ts";
import { Signal, type Readable } from "./signal.ts";

export class JobList {
  readonly #parts: ListParts;
  readonly #view = new Signal<ListView>(EMPTY);
  readonly #limit: number;
  #filter: JobFilter;
  #order = new Order();
  readonly #left = new Left();
  readonly #fresh = new Fresh();
  /** Changes of rows that are not here, kept while a page is read: it may be older than they are. */
  readonly #meanwhile = new Map<string, JobRow>();
  #handle: SubscriptionHandle | null = null;
  /** Below this nothing is known but what pages brought. Empty: all that match are here. */
  #floor = "";
  #cursor: string | null = null;
  #phase: ListView["phase"] = "loading";
  #problem: unknown = null;
  #reading: AbortController | null = null;
  readonly #refill: Refill;

  constructor(parts: ListParts, filter: JobFilter, limit: number = LIVE_ROWS, kept: number = KEPT_ROWS) {
    this.#parts = parts;
    this.#filter = filter;
    this.#limit = limit;
    this.#refill = new Refill(kept, {
      order: () => this.#order,
      page: (cursor, signal) => parts.page(this.#filter, cursor, PAGE_ROWS, signal),
      add: (row) => this.#add(row),
      drop: (id) => parts.rows.release(id),
      changed: () => this.#mark(),
    });
  }

  get view(): Readable<ListView> {
    return this.#view;
  }

  /** By pages alone: see the top. */
  get #paged(): boolean {
    return (this.#filter.q ?? "") !== "" || this.#filter.at !== undefined;
  }

  open(): void {
    if (this.#handle === null && this.#reading === null) this.#ask();
  }

  /** Lets go of all rows. It may be opened again. */
  close(): void {
    this.#handle?.close();
    this.#handle = null;
    this.#empty();
    this.#phase = "loading";
    this.#mark();
  }

  /** The rows of before stay on view until the first of the new ones come. */
  setFilter(filter: JobFilter): void {
    this.#filter = filter;
    this.#phase = "loading";
    this.#fresh.ceiling = null;
    this.#reading?.abort();
    this.#reading = null;
    if (this.#handle !== null && filter.at === undefined) {
      this.#handle.update(liveFilter(filter, this.#paged ? 1 : this.#limit));
      if (this.#paged) void this.#read(null);
    } else {
      this.#handle?.close();
      this.#handle = null;
      this.#ask();
    }
    this.#mark();
  }

  /** Newer rows are held back from now on, and counted: somebody reads further down. */
  hold(): void {
    this.#fresh.ceiling ??= this.#order.first ?? null;
  }

  /** Shows what was held back. */
  release(): void {
    if (this.#fresh.ceiling === null) return;
    this.#fresh.ceiling = null;
    if (this.#fresh.isCut) this.refresh();
    this.#trim();
    this.#mark();
  }

  /** These are looked at, of those that the view has: what was given away there is read again. */
  look(first: number, last: number): void {
    const held = this.#heldBack;
    this.#refill.look(first + held, last + held);
  }

  /** Reads the list again from its beginning. */
  refresh(): void {
    this.setFilter(this.#filter);
  }

  /** Reads the next page below the last row. */
  async more(): Promise<void> {
    if (this.#phase !== "ready" || this.#reading !== null || this.#floor === "" || this.#order.size >= LIST_ROWS_MAX) return;
    await this.#read(this.#cursor);
  }

  /** After a reset: nothing of it is true any more, and what follows comes by the subscription, */
  clear(): void {
    this.#empty();
    this.#phase = "loading";
    this.#mark();
  }

  /** or by pages when the new log is there to be asked; of the old log no moment is. */
  renew(): void {
    if (this.#paged && this.#filter.at === undefined) void this.#read(null);
  }

  get #heldBack(): number {
    return this.#fresh.ceiling === null ? 0 : this.#order.above(this.#fresh.ceiling);
  }

  #ask(): void {
    if (this.#filter.at === undefined) {
      const filter = liveFilter(this.#filter, this.#paged ? 1 : this.#limit);
      this.#handle = this.#parts.subscribe({ topic: "jobs", filter }, (event) => this.#hear(event));
    }
    if (this.#paged) void this.#read(null);
  }

  #hear(event: SubscriptionEvent): void {
    switch (event.type) {
      case "snapshot":
        if (this.#paged) return;
        if (event.first) this.#empty();
        // What comes on topic `jobs` are rows as the server's schemas say.
        for (const row of event.rows as readonly unknown[] as readonly JobRow[]) this.#add(row);
        if (!event.more) this.#settle(this.#order.size < this.#limit);
        break;
      case "changes":
        for (const row of event.rows as readonly unknown[] as readonly JobRow[]) this.#change(row);
        for (const id of event.left) this.#leave(id, event.seq);
        this.#trim();
        break;
      case "progress":
        for (const { id, progress } of event.jobs) this.#parts.rows.progress(id, progress as ProgressRow | null);
        break;
      case "reset":
      case "gone":
        if (!this.#paged) this.#empty();
        break;
      case "error":
        this.#fail(new Error(event.detail));
        break;
      default:
    }
    this.#mark();
  }

  #add(row: JobRow): void {
    if (this.#left.forbids(row)) return;
    if (this.#order.add(row.id)) this.#parts.rows.hold(row);
    else if (this.#order.has(row.id)) this.#parts.rows.put(row);
    const newer = this.#meanwhile.get(row.id);
    if (newer !== undefined) this.#parts.rows.put(newer);
  }

  #change(row: JobRow): void {
    if (this.#order.has(row.id)) {
      this.#parts.rows.put(row);
      return;
    }
    if (this.#reading !== null || this.#refill.busy) this.#meanwhile.set(row.id, row);
    const newest = row.id > (this.#order.first ?? "");
    if (this.#paged) {
      if (newest) this.#fresh.note(row.id);
    } else if (newest && this.#fresh.ceiling !== null && this.#heldBack >= HELD_BACK_MAX) this.#fresh.count();
    else if (row.id >= this.#floor) this.#add(row);
  }

  #leave(id: string, seq: number): void {
    const row = this.#parts.rows.get(id);
    // From a newer answer: the change that made it match again is on its way, or has been here.
    if (this.#order.has(id) && row !== undefined && row.seq > seq) return;
    this.#fresh.forget(id);
    this.#meanwhile.delete(id);
    this.#left.note(id, seq);
    if (this.#order.remove(id)) this.#parts.rows.release(id);
  }

  #settle(complete: boolean): void {
    this.#phase = "ready";
    this.#problem = null;
    this.#floor = complete ? "" : (this.#order.last ?? "");
    this.#cursor = null;
  }

  #fail(problem: unknown): void {
    if (this.#phase === "loading") this.#empty(false); // What is here is of the filter before.
    this.#phase = "failed";
    this.#problem = problem;
  }

  /** Cursors are the server's own, so the first page repeats some of the live window. */
  async #read(from: string | null): Promise<void> {
    const reading = new AbortController();
    this.#reading = reading;
    if (!this.#refill.busy) this.#meanwhile.clear();
    this.#mark();
    let cursor = from;
    try {
      for (let pages = 0; pages < PAGES_AT_ONCE; pages++) {
        const page = await this.#parts.page(this.#filter, cursor, PAGE_ROWS, reading.signal);
        if (this.#reading !== reading) return;
        const took = this.#take(page, cursor);
        cursor = page.next_cursor;
        if (took) break;
      }
    } catch (error) {
      if (this.#reading !== reading) return;
      if (this.#phase === "ready") this.#problem = error;
      else this.#fail(error);
    }
    this.#reading = null;
    this.#mark();
  }

  /** Whether it brought what was not there. */
  #take(page: Page, cursor: string | null): boolean {
    if (this.#phase !== "ready") {
      this.#empty(false);
      this.#phase = "ready";
    }
    const before = this.#order.size;
    if (cursor !== null) this.#order.begin(this.#floor, cursor);
    for (const row of page.jobs) this.#add(row);
    this.#refill.tidy();
    this.#problem = null;
    this.#cursor = page.next_cursor;
    const last = page.jobs.at(-1)?.id;
    if (page.next_cursor === null) this.#floor = "";
    else if (last !== undefined && (this.#floor === "" || last < this.#floor)) this.#floor = last;
    else if (this.#floor === "") this.#floor = "0";
    return page.next_cursor === null || this.#order.size > before;
  }

  #trim(): void {
    if (this.#fresh.ceiling !== null || this.#order.head <= HEAD_ROWS_MAX || this.#paged) return;
    this.#reading?.abort();
    this.#reading = null;
    this.#refill.stop();
    for (const id of this.#order.cut(HEAD_ROWS)) this.#parts.rows.release(id);
    this.#floor = this.#order.last ?? "";
    this.#cursor = null;
  }

  #empty(stop = true): void {
    if (stop) this.#reading?.abort();
    if (stop) this.#reading = null;
    this.#refill.stop();
    for (const id of this.#order.ids()) this.#parts.rows.release(id);
    this.#order = new Order();
    this.#left.clear();
    this.#fresh.clear();
    this.#cursor = null;
    this.#floor = "";
  }

  #mark(): void {
    this.#parts.frame.mark(this.#flush);
  }

  readonly #flush = (): void => {
    const held = this.#heldBack;
    const view: ListView = {
      ids: this.#order.ids(held),
      fresh: held + this.#fresh.size,
      phase: this.#phase,
      complete: this.#phase === "ready" && this.#floor === "",
      loadingMore: this.#reading !== null,
      full: this.#order.size >= LIST_ROWS_MAX,
      problem: this.#problem,
    };
    // Most frames change rows alone, which are not here.
    if (!sameView(view, this.#view.get())) this.#view.set(view);
  };
}
