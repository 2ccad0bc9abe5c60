// The items of a batch: by pages, kept fresh by the job's events. A report that is newer than the page an item came with
// changes it in place; what moves many of them at once (the end of the job, a retry) reads what is held again.

import type { ItemList, ItemRow, ItemState, PublishedEvent } from "../api/types.gen.ts";
import type { SubscriptionEvent, SubscriptionHandle } from "../sync/index.ts";
import type { Frame } from "./frame.ts";
import type { ListParts } from "./list-parts.ts";
import { Signal } from "./signal.ts";

const PAGE_ITEMS = 500;
/** Read again at once; of more only the first, and the rest when somebody goes there. */
const AGAIN_MAX = 5_000;
/** Between two readings of a list that changes all the time. */
const AGAIN_MS = 500;
const WHOLE = new Set(["job.completed", "job.failed", "job.cancelled", "job.retried", "job.purged"]);

export interface ItemsView {
  readonly keys: readonly string[];
  readonly phase: "loading" | "ready" | "gone" | "failed";
  readonly complete: boolean;
  /** Of a filtered list: items changed that may belong here now, or no more. */
  readonly changed: number;
  readonly problem: unknown;
  readonly version: number;
}

export interface ItemsParts extends Pick<ListParts, "subscribe"> {
  readonly frame: Frame;
  readonly page: (state: ItemState | undefined, cursor: string | null, limit: number, signal: AbortSignal) => Promise<ItemList>;
}

interface Held {
  readonly row: ItemRow;
  readonly seq: number;
}

export class ItemPages {
  readonly view: Signal<ItemsView>;
  readonly #parts: ItemsParts;
  readonly #id: string;
  readonly #state: ItemState | undefined;
  readonly #live: boolean;
  #held = new Map<string, Held>();
  #keys: string[] = [];
  #cursor: string | null = null;
  #reading = false;
  #again = false;
  /** What failed last was a reading of what is held, and not of more. */
  #failedAnew = false;
  /** What was reported while a page was on its way. */
  #late: PublishedEvent[] = [];
  #handle: SubscriptionHandle | null = null;
  #stop = new AbortController();
  #phase: ItemsView["phase"] = "loading";
  #complete = false;
  #changed = 0;
  #problem: unknown = null;

  constructor(parts: ItemsParts, id: string, state: ItemState | undefined, live: boolean) {
    this.#parts = parts;
    this.#id = id;
    this.#state = state;
    this.#live = live;
    this.view = new Signal<ItemsView>({ keys: [], phase: "loading", complete: false, changed: 0, problem: null, version: 0 });
  }

  open(): void {
    this.#stop = new AbortController();
    void this.reload();
  }

  close(): void {
    this.#stop.abort();
    this.#handle?.close();
    this.#handle = null;
    this.#reading = false;
  }

  readonly get = (key: string): ItemRow | undefined => this.#held.get(key)?.row;

  /** Reads what is held once more, and shows it when all of it has come. */
  async reload(): Promise<void> {
    const wanted = Math.min(AGAIN_MAX, Math.max(PAGE_ITEMS, this.#keys.length));
    await this.#read(null, wanted, true);
  }

  /** What failed, once more. */
  retry(): Promise<void> {
    return this.#failedAnew ? this.reload() : this.more();
  }

  async more(): Promise<void> {
    if (this.#complete || this.#cursor === null) return;
    await this.#read(this.#cursor, PAGE_ITEMS, false);
  }

  async #read(from: string | null, wanted: number, anew: boolean): Promise<void> {
    if (this.#reading) {
      this.#again ||= anew;
      return;
    }
    this.#reading = true;
    const { signal } = this.#stop;
    try {
      const pages: ItemList[] = [];
      let cursor = from;
      for (let count = 0; count < wanted; ) {
        const page = await this.#parts.page(this.#state, cursor, PAGE_ITEMS, signal);
        if (signal.aborted) return;
        pages.push(page);
        count += page.items.length;
        cursor = page.next_cursor;
        if (cursor === null) break;
      }
      this.#take(pages, cursor, anew);
    } catch (problem) {
      if (signal.aborted) return;
      this.#phase = "failed";
      this.#failedAnew = anew;
      this.#problem = problem;
      this.#mark();
    }
    this.#reading = false;
    if (this.#again) {
      this.#again = false;
      setTimeout(() => void (signal.aborted ? null : this.reload()), AGAIN_MS);
    }
  }

  #take(pages: readonly ItemList[], cursor: string | null, anew: boolean): void {
    if (anew) {
      this.#held = new Map();
      this.#keys = [];
      this.#changed = 0;
    }
    for (const { items, seq } of pages) {
      for (const row of items) {
        if (!this.#held.has(row.key)) this.#keys.push(row.key);
        this.#held.set(row.key, { row, seq });
      }
    }
    this.#cursor = cursor;
    this.#complete = cursor === null;
    this.#phase = "ready";
    this.#problem = null;
    for (const event of this.#late.splice(0)) this.#apply(event);
    const first = pages[0];
    if (this.#live && this.#handle === null && first !== undefined) this.#follow({ epoch: first.epoch, seq: first.seq });
    this.#mark();
  }

  #follow(since: { epoch: string; seq: number }): void {
    this.#handle = this.#parts.subscribe({ topic: "events", filter: { id: this.#id }, since }, (event) => this.#hear(event));
  }

  #hear(event: SubscriptionEvent): void {
    if (event.type === "events") {
      for (const one of event.events as readonly unknown[] as readonly PublishedEvent[]) {
        if (this.#reading) this.#late.push(one);
        this.#apply(one);
      }
    } else if (event.type === "reset") {
      // Its place is lost: the next reading brings a new one.
      this.#handle?.close();
      this.#handle = null;
      void this.reload();
    } else if (event.type === "gone") this.#phase = "gone";
    else return;
    this.#mark();
  }

  #apply(event: PublishedEvent): void {
    if (WHOLE.has(event.type)) void this.reload();
    else if (event.type === "job.items_reported") this.#report(event);
    else if (event.type === "job.items_added") this.#append(event);
  }

  #report({ seq, data }: PublishedEvent): void {
    for (const { key, state, result, error } of data.reports as readonly Omit<ItemRow, "args">[]) {
      const held = this.#held.get(key);
      if (held !== undefined && held.seq < seq) this.#held.set(key, { row: { ...held.row, state, result, error }, seq });
      if (this.#state !== undefined && (held !== undefined || state === this.#state)) this.#changed += 1;
    }
    // A short filtered list follows by itself; a long one is not moved under somebody's eyes.
    if (this.#state !== undefined && this.#keys.length < PAGE_ITEMS && this.#changed > 0) void this.reload();
  }

  #append({ seq, data }: PublishedEvent): void {
    if (this.#state !== undefined) {
      if (this.#state === "pending") this.#changed += 1;
      return;
    }
    if (!this.#complete) return;
    for (const { key, args } of data.items as readonly { key: string; args: unknown }[]) {
      if (this.#held.has(key)) continue;
      this.#held.set(key, { row: { key, args, state: "pending", result: null, error: null }, seq });
      this.#keys.push(key);
    }
  }

  #mark(): void {
    this.#parts.frame.mark(this.#flush);
  }

  readonly #flush = (): void => {
    const { version, keys } = this.view.get();
    this.view.set({
      keys: keys.length === this.#keys.length && keys.every((key, at) => key === this.#keys[at]) ? keys : [...this.#keys],
      phase: this.#phase,
      complete: this.#complete,
      changed: this.#changed,
      problem: this.#problem,
      version: version + 1,
    });
  };
}
