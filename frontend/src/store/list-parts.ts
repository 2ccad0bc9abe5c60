// What a list of jobs is made of and what it shows: its parts, its view, its bounds.

import type { JobFilter } from "../api/calls.ts";
import type { JobRow } from "../api/types.gen.ts";
import type { Filter, SubscriptionEvent, SubscriptionHandle, Wanted } from "../sync/index.ts";
import type { Frame } from "./frame.ts";
import { Ids } from "./order.ts";
import type { RowStore } from "./rows.ts";

/** Rows of the live window: some screens of the newest, so that the first come at once. */
export const LIVE_ROWS = 200;
export const PAGE_ROWS = 500;
/** Above this no more pages are read: browsers draw nothing higher than 33 million pixels. */
export const LIST_ROWS_MAX = 500_000;
/** Rows kept in memory. Those farthest from where one looks go first, and are read again. */
export const KEPT_ROWS = 20_000;
/** The newest, which are always there: above the first bound they are cut to the second. */
export const HEAD_ROWS_MAX = 5_000;
export const HEAD_ROWS = 2_000;
/** New ones that are held back; above this they are only counted. */
export const HELD_BACK_MAX = 1_000;
/** Ids that left, remembered. */
const LEFT_MAX = 10_000;
/** Pages read at one request for more, when they bring nothing below what is there or nothing at all. */
export const PAGES_AT_ONCE = 5;

export interface Page {
  readonly jobs: readonly JobRow[];
  readonly next_cursor: string | null;
}

export interface ListParts {
  readonly subscribe: (wanted: Wanted, hear: (event: SubscriptionEvent) => void) => SubscriptionHandle;
  readonly rows: RowStore;
  readonly frame: Frame;
  readonly page: (filter: JobFilter, cursor: string | null, limit: number, signal: AbortSignal) => Promise<Page>;
}

export interface ListView {
  /** The same object as long as nothing came or went. */
  readonly ids: Ids;
  /** Newer ones that are held back while somebody reads further down, or that only a refresh would show. */
  readonly fresh: number;
  /** `loading`: nothing of this filter has come yet; the ids are those of the filter before. */
  readonly phase: "loading" | "ready" | "failed";
  /** There is nothing below the last row. */
  readonly complete: boolean;
  readonly loadingMore: boolean;
  /** So many rows that no more are read. */
  readonly full: boolean;
  readonly problem: unknown;
}

export const EMPTY: ListView = { ids: new Ids(), fresh: 0, phase: "loading", complete: false, loadingMore: false, full: false, problem: null };

/** What a subscription knows of a filter. */
export function liveFilter(filter: JobFilter, limit: number): Filter {
  const { state, kind, queue, tag, parent_id } = filter;
  return {
    limit,
    ...(state === undefined || state.length === 0 ? {} : { state }),
    ...(kind === undefined ? {} : { kind }),
    ...(queue === undefined ? {} : { queue }),
    ...(tag === undefined ? {} : { tag }),
    ...(parent_id === undefined ? {} : { parent_id }),
  };
}

export function sameView(a: ListView, b: ListView): boolean {
  return (Object.keys(a) as (keyof ListView)[]).every((field) => a[field] === b[field]);
}

/** The ids that left, so that an older page cannot bring them back. */
export class Left {
  readonly #seqs = new Map<string, number>();

  note(id: string, seq: number): void {
    this.#seqs.delete(id);
    this.#seqs.set(id, seq);
    if (this.#seqs.size > LEFT_MAX) this.#seqs.delete(this.#seqs.keys().next().value ?? "");
  }

  /** The row is from before its job left. */
  forbids({ id, seq }: JobRow): boolean {
    if (seq <= (this.#seqs.get(id) ?? -1)) return true;
    this.#seqs.delete(id);
    return false;
  }

  clear(): void {
    this.#seqs.clear();
  }
}

/** Newer jobs that are not shown: held back above a row that somebody reads, or only counted. */
export class Fresh {
  /** Newer than this is held back. Null: nothing is. */
  ceiling: string | null = null;
  /** That may match. */
  readonly #unseen = new Set<string>();
  /** Held back, and too many to be kept. */
  #uncounted = 0;

  get size(): number {
    return this.#unseen.size + this.#uncounted;
  }

  /** Whether more is held back than the list has. */
  get isCut(): boolean {
    return this.#uncounted > 0;
  }

  note(id: string): void {
    if (this.#unseen.size < HELD_BACK_MAX) this.#unseen.add(id);
  }

  count(): void {
    this.#uncounted += 1;
  }

  forget(id: string): void {
    this.#unseen.delete(id);
  }

  clear(): void {
    this.ceiling = null;
    this.#unseen.clear();
    this.#uncounted = 0;
  }
}
