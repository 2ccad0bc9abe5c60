// What a list of jobs is made of and what it shows: its parts, its view, its bounds.

import type { JobFilter } from "../api/calls.ts";
import type { JobRow } from "../api/types.gen.ts";
import type { Filter, SubscriptionEvent, SubscriptionHandle, Wanted } from "../sync/index.ts";
import type { Frame } from "./frame.ts";
import type { RowStore } from "./rows.ts";

/** Rows of the live window: some screens of the newest, so that the first come at once. */
export const LIVE_ROWS = 200;
export const PAGE_ROWS = 500;
/** Above this no more pages are read, and the oldest are let go. */
export const LIST_ROWS_MAX = 100_000;
/** Ids that left, remembered so that an older page cannot bring them back. */
export const LEFT_MAX = 10_000;
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
  readonly ids: readonly string[];
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

export const EMPTY: ListView = { ids: [], fresh: 0, phase: "loading", complete: false, loadingMore: false, full: false, problem: null };

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
