// The events of one job: by pages from the first, then live from where the pages end, so that none is missed or twice.
// A job may report its progress for days: of more than some thousands the oldest reports are let go, and counted.

import type { EventList, PublishedEvent } from "../api/types.gen.ts";
import type { SubscriptionEvent, SubscriptionHandle } from "../sync/index.ts";
import type { Frame } from "./frame.ts";
import type { ListParts } from "./list-parts.ts";
import { Signal } from "./signal.ts";

/** So many are read at once; more when somebody asks. */
export const EVENTS_AT_ONCE = 5_000;
const PAGE_EVENTS = 500;
/** Kept at most, and so many more are let pile up before some go. */
export const EVENTS_MAX = 20_000;
const SLACK_EVENTS = 2_000;

export interface EventsView {
  /** How many were let go. */
  readonly gone: number;
  /** In order of seq. */
  readonly events: readonly PublishedEvent[];
  readonly phase: "loading" | "ready" | "gone" | "failed";
  /** The last one is there, and what happens next comes by itself. */
  readonly complete: boolean;
  readonly problem: unknown;
}

export interface EventsParts extends Pick<ListParts, "subscribe"> {
  readonly frame: Frame;
  readonly page: (cursor: string | null, limit: number, signal: AbortSignal) => Promise<EventList>;
}

export class JobEvents {
  readonly view = new Signal<EventsView>({ events: [], gone: 0, phase: "loading", complete: false, problem: null });
  readonly #parts: EventsParts;
  readonly #id: string;
  /** Events after this one are not looked at: the page shows a past moment. */
  readonly #until: number;
  #events: PublishedEvent[] = [];
  #cursor: string | null = null;
  #handle: SubscriptionHandle | null = null;
  #stop = new AbortController();
  #gone = 0;
  #state: Omit<EventsView, "events" | "gone"> = { phase: "loading", complete: false, problem: null };

  constructor(parts: EventsParts, id: string, until = Infinity) {
    this.#parts = parts;
    this.#id = id;
    this.#until = until;
  }

  open(): void {
    this.#stop = new AbortController();
    void this.#read(this.#stop.signal);
  }

  close(): void {
    this.#stop.abort();
    this.#handle?.close();
    this.#handle = null;
    this.#events = [];
    this.#gone = 0;
    this.#cursor = null;
  }

  /** The next ones, or another try. */
  more(): void {
    if (this.#state.phase === "loading") return;
    this.#set({ phase: "loading", problem: null });
    void this.#read(this.#stop.signal);
  }

  async #read(signal: AbortSignal): Promise<void> {
    try {
      for (let read = 0; read < EVENTS_AT_ONCE; read += PAGE_EVENTS) {
        const page = await this.#parts.page(this.#cursor, PAGE_EVENTS, signal);
        if (signal.aborted) return;
        this.#add(page.events);
        this.#cursor = page.next_cursor;
        const last = page.events.at(-1);
        if (page.next_cursor === null || (last !== undefined && last.seq >= this.#until)) {
          this.#set({ phase: "ready", complete: true });
          if (this.#until === Infinity) this.#follow({ epoch: page.epoch, seq: page.seq });
          return;
        }
      }
      this.#set({ phase: "ready" });
    } catch (problem) {
      if (!signal.aborted) this.#set({ phase: "failed", problem });
    }
  }

  #follow(since: { epoch: string; seq: number }): void {
    this.#handle = this.#parts.subscribe({ topic: "events", filter: { id: this.#id }, since }, (event) => this.#hear(event));
  }

  #hear(event: SubscriptionEvent): void {
    // What comes on topic `events` are events as the server's schemas say.
    if (event.type === "events") this.#add(event.events as readonly unknown[] as readonly PublishedEvent[]);
    else if (event.type === "gone") this.#set({ phase: "gone" });
    else if (event.type === "reset") {
      this.close();
      this.#set({ phase: "loading", complete: false });
      this.open();
    }
  }

  #add(events: readonly PublishedEvent[]): void {
    const last = this.#events.at(-1)?.seq ?? 0;
    for (const event of events) if (event.seq > last && event.seq <= this.#until) this.#events.push(event);
    this.#letGo();
    this.#parts.frame.mark(this.#flush);
  }

  /** The oldest reports of progress, which say least by now; without any the oldest events. */
  #letGo(): void {
    const count = this.#events.length;
    if (count <= EVENTS_MAX + SLACK_EVENTS) return;
    let over = count - EVENTS_MAX;
    this.#events = this.#events.filter(({ type }) => type !== "job.progressed" || over-- <= 0);
    this.#events = this.#events.slice(Math.max(0, this.#events.length - EVENTS_MAX));
    this.#gone += count - this.#events.length;
  }

  #set(change: Partial<Omit<EventsView, "events" | "gone">>): void {
    this.#state = { ...this.#state, ...change };
    this.#parts.frame.mark(this.#flush);
  }

  readonly #flush = (): void => this.view.set({ ...this.#state, gone: this.#gone, events: [...this.#events] });
}
