// The strip of active jobs, the same on every page and in every tab: those that run, then the newest that wait, from the
// server and nothing else. What ended while nobody looked (the page was closed, hidden, asleep or cut off) stays until
// it is dismissed. After a refresh nothing that was kept is asked for before the server took the place it was kept with.

import type { JobBody } from "../api/types.gen.ts";
import { isTerminal } from "../api/states.ts";
import type { SubscriptionEvent, SubscriptionHandle } from "../sync/index.ts";
import { sameStrip, STRIP_ROWS, type ActiveParts, type StripView } from "./active-parts.ts";
import { Soon } from "./around.ts";
import { bound, DISMISSED_MAX, KEPT_IDS_MAX, KEPT_NAME, mergeDismissed, readKept, writeKept, type Kept } from "./kept.ts";
import type { ListParts } from "./list-parts.ts";
import { JobList } from "./list.ts";
import { Signal, type Readable } from "./signal.ts";

/** So many in a window, and it is asked for anew: it grows with every job that is submitted. */
const WINDOW_MAX = 20 * STRIP_ROWS;
const AGAIN_MS = 500;
const COUNT_MS = 2_000;
const SAVE_MS = 2_000;
/** No kind has this name: the answer to a place is all that comes of it. */
const NOTHING = { kind: "daybook.nothing" };

export class Active {
  readonly #parts: ActiveParts;
  readonly #view = new Signal<StripView>({ ids: [], more: 0, ended: [] });
  readonly #running: JobList;
  readonly #all: JobList;
  /** On view by now or some time ago, and still active as far as we know. */
  readonly #shown = new Set<string>();
  /** Ended, and still on a list: each of the two hears of it by itself. */
  readonly #over = new Set<string>();
  /** Those of before, until the server has said what their place is worth. */
  #kept: Kept | null = null;
  readonly #unknown = new Set<string>();
  readonly #ended = new Map<string, JobBody>();
  readonly #dismissed = new Map<string, number>();
  readonly #soon: Soon;
  #asking = new AbortController();
  #pumping = false;
  #page = new Set<string>();
  #total = 0;
  #seq = 0;
  #saved = "";
  #opened = false;
  #probe: SubscriptionHandle | null = null;

  constructor(parts: ActiveParts) {
    this.#parts = parts;
    this.#soon = new Soon(parts.around);
    const listened: ListParts = {
      ...parts,
      subscribe: (wanted, hear) =>
        parts.subscribe(wanted, (event) => {
          hear(event);
          this.#hear(event);
        }),
    };
    this.#running = new JobList(parts, { state: ["running"] }, STRIP_ROWS);
    this.#all = new JobList(listened, { state: ["active"] }, STRIP_ROWS);
    this.#running.view.listen(() => this.#mark());
    this.#all.view.listen(() => this.#mark());
  }

  get view(): Readable<StripView> {
    return this.#view;
  }

  /** A place that an earlier page kept; null: none, or it was decided about. */
  get kept(): Kept | null {
    return this.#kept;
  }

  open(): void {
    if (this.#opened) return;
    this.#opened = true;
    this.#recall();
    this.#parts.around.onWrite(KEPT_NAME, (text) => this.#heard(text));
    this.#running.open();
    this.#all.open();
  }

  /** All that changes is here again: what could not be asked for is asked for now. */
  nowLive(): void {
    void this.#pump();
  }

  dismiss(id: string): void {
    const job = this.#ended.get(id);
    if (job === undefined) return;
    this.#ended.delete(id);
    this.#dismissUpTo(id, job.seq);
  }

  dismissAll(): void {
    for (const id of [...this.#ended.keys()]) this.dismiss(id);
  }

  /** After a reset: the ids of before name nothing, here and in what is kept. */
  clear(): void {
    this.#asking.abort();
    this.#asking = new AbortController();
    this.#probe?.close();
    this.#probe = null;
    this.#kept = null;
    for (const set of [this.#shown, this.#over, this.#unknown, this.#ended, this.#dismissed]) set.clear();
    this.#soon.clear();
    this.#page.clear();
    this.#seq = 0;
    this.#total = 0;
    this.#saved = "";
    this.#parts.around.write(KEPT_NAME, null);
    this.#running.clear();
    this.#all.clear();
    this.#mark();
  }

  #recall(): void {
    const kept = readKept(this.#parts.around.read(KEPT_NAME));
    if (kept === null) return;
    this.#kept = kept;
    const { epoch, seq } = kept;
    const over = (): void => {
      this.#probe?.close();
      this.#probe = null;
      this.#kept = null;
    };
    this.#probe = this.#parts.subscribe({ topic: "events", filter: NOTHING, since: { epoch, seq } }, (event) => {
      if (this.#kept !== kept) return;
      if (event.type === "live") {
        mergeDismissed(this.#dismissed, kept.dismissed);
        for (const id of kept.ids) if (!this.#page.has(id)) this.#unknown.add(id);
        over();
        this.#mark();
        void this.#pump();
      } else if (event.type === "reset" || event.type === "gone" || event.type === "error") {
        over();
        this.#parts.around.write(KEPT_NAME, null);
      }
    });
  }

  #hear(event: SubscriptionEvent): void {
    if ("seq" in event) this.#seq = Math.max(this.#seq, event.seq);
    if (event.type === "snapshot") {
      if (event.first) this.#page = new Set();
      for (const { id } of event.rows as readonly { readonly id: string }[]) this.#page.add(id);
      if (!event.more) this.#compare(event.seq);
    } else if (event.type === "changes") {
      for (const { id } of event.rows as readonly { readonly id: string }[]) {
        this.#ended.delete(id);
        this.#over.delete(id);
      }
      for (const id of event.left) if (this.#shown.has(id)) this.#end(id, event.seq);
    }
  }

  /** A whole window came: what was shown and is not in it has ended, unless it is older than all of it. */
  #compare(seq: number): void {
    const complete = this.#page.size < STRIP_ROWS;
    const floor = [...this.#page].reduce((least, id) => (id < least ? id : least), "~");
    for (const id of [...this.#shown]) if (!this.#page.has(id) && (complete || id > floor)) this.#end(id, seq);
    for (const id of this.#page) {
      this.#unknown.delete(id);
      this.#over.delete(id);
      this.#ended.delete(id);
    }
    void this.#pump();
  }

  #end(id: string, seq: number): void {
    this.#shown.delete(id);
    this.#over.add(id);
    if (this.#parts.live() && !this.#parts.around.hidden()) {
      // Somebody saw it end, so no tab needs to tell.
      this.#dismissUpTo(id, seq);
      return;
    }
    this.#unknown.add(id);
    bound(this.#unknown, KEPT_IDS_MAX);
    this.#mark();
    void this.#pump();
  }

  #dismissUpTo(id: string, seq: number): void {
    this.#dismissed.delete(id);
    this.#dismissed.set(id, seq);
    bound(this.#dismissed, DISMISSED_MAX);
    this.#mark();
  }

  /** Asks, one by one, what became of those that nobody saw end. More may join while it does. */
  async #pump(): Promise<void> {
    if (this.#pumping || this.#kept !== null || this.#all.view.get().phase !== "ready" || !this.#parts.live()) return;
    this.#pumping = true;
    const { signal } = this.#asking;
    for (const id of this.#unknown) {
      if (signal.aborted || !this.#unknown.has(id)) continue;
      try {
        this.#take(id, await this.#parts.job(id, signal));
      } catch (error) {
        if (signal.aborted) break;
        // Forgotten or purged by now: there is nothing to tell. Others are asked for again when all is live.
        if ((error as { status?: number }).status !== 404) break;
        this.#unknown.delete(id);
      }
      this.#mark();
    }
    this.#pumping = false;
  }

  #take(id: string, job: JobBody): void {
    if (!this.#unknown.delete(id)) return;
    if (!isTerminal(job.state)) this.#shown.add(id);
    else if (job.seq > (this.#dismissed.get(id) ?? -1)) {
      this.#ended.set(id, job);
      bound(this.#ended, STRIP_ROWS);
    }
  }

  /** Another tab wrote. */
  #heard(text: string | null): void {
    const theirs = readKept(text);
    if (theirs === null || theirs.epoch !== this.#parts.epoch()) return;
    if (!mergeDismissed(this.#dismissed, theirs.dismissed)) return;
    for (const [id, job] of this.#ended) if (job.seq <= (this.#dismissed.get(id) ?? -1)) this.#ended.delete(id);
    this.#mark();
  }

  #mark(): void {
    this.#parts.frame.mark(this.#flush);
  }

  readonly #flush = (): void => {
    const running = this.#running.view.get();
    const all = this.#all.view.get();
    if (this.#unknown.size > 0) void this.#pump();
    // What the lists show is a frame old: after a reset it would be of another log. Rows are of now.
    const listed = new Set([...running.ids, ...all.ids]);
    const known = [...listed].filter((id) => this.#parts.rows.get(id) !== undefined && !this.#over.has(id));
    for (const id of this.#over) if (!listed.has(id)) this.#over.delete(id);
    const ids = known.slice(0, STRIP_ROWS);
    for (const id of ids) this.#shown.add(id);
    bound(this.#shown, KEPT_IDS_MAX);
    if (all.complete) this.#total = all.ids.length;
    else if (all.phase === "ready") this.#soon.run("count", COUNT_MS, () => void this.#count());
    for (const list of [this.#running, this.#all]) this.#topUp(list);
    const ended = [...this.#ended.values()].filter(({ id }) => !ids.includes(id)).sort((a, b) => b.seq - a.seq);
    const view = { ids, more: Math.max(0, this.#total - ids.length), ended };
    if (!sameStrip(view, this.#view.get())) this.#view.set(view);
    this.#save();
  };

  /** A window that ran low although there are more below it, or that grew far beyond what is shown. */
  #topUp(list: JobList): void {
    const { ids, phase, complete } = list.view.get();
    const low = !complete && ids.length < STRIP_ROWS;
    if (phase !== "ready" || (!low && ids.length <= WINDOW_MAX)) return;
    this.#soon.run(list === this.#all ? "all" : "running", AGAIN_MS, () => list.refresh());
  }

  async #count(): Promise<void> {
    const { signal } = this.#asking;
    try {
      const total = await this.#parts.count(signal);
      if (!signal.aborted && total !== this.#total) {
        this.#total = total;
        this.#mark();
      }
    } catch {
      // The number of before stays until the next change.
    }
  }

  /** At once when other jobs are shown; now and then for the place alone. */
  #save(): void {
    const epoch = this.#parts.epoch();
    // What is kept has the place of another page until that is decided about.
    if (epoch === null || this.#kept !== null || this.#seq === 0) return;
    const ids = [...this.#unknown, ...this.#ended.keys(), ...this.#shown];
    const what = JSON.stringify([epoch, ids, [...this.#dismissed]]);
    const write = (): void => this.#parts.around.write(KEPT_NAME, writeKept({ epoch, seq: this.#seq, ids, dismissed: this.#dismissed }));
    if (what !== this.#saved) {
      this.#saved = what;
      write();
      return;
    }
    this.#soon.run("save", SAVE_MS, () => {
      if (this.#saved === what && this.#parts.epoch() === epoch) write();
    });
  }
}
