// What the address says: filters and the moment looked at, typed. Values that are the default are not in it, and what
// cannot be understood is passed over: an address is typed by hand, and kept for years.

import { isState } from "../api/states.ts";
import type { HistorySpan, ItemState, StateName } from "../api/types.gen.ts";

/** On every page: the seq of the event after which things are shown. */
export interface AtSearch {
  readonly at?: number | undefined;
  /** The second moment, when two are compared. */
  readonly to?: number | undefined;
}

export interface HistorySearch extends AtSearch {
  readonly span?: HistorySpan | undefined;
  /** The numbers instead of the charts. */
  readonly view?: "tables" | undefined;
}

export interface JobsSearch extends AtSearch {
  readonly state?: readonly (StateName | "active")[] | undefined;
  readonly kind?: string | undefined;
  readonly queue?: string | undefined;
  readonly tag?: string | undefined;
  readonly q?: string | undefined;
}

export const JOB_TABS = ["overview", "items", "log", "timeline", "tree"] as const;
export type JobTab = (typeof JOB_TABS)[number];

export interface JobSearch extends AtSearch {
  readonly tab?: JobTab | undefined;
  /** Which items. */
  readonly items?: ItemState | undefined;
}

type Raw = Readonly<Record<string, unknown>>;

/** `a=1&a=2` is a list, everything else a text. */
export function parseSearch(search: string): Record<string, string | string[]> {
  const found: Record<string, string | string[]> = {};
  const params = new URLSearchParams(search);
  for (const name of new Set(params.keys())) {
    const values = params.getAll(name);
    found[name] = values.length === 1 ? (values[0] ?? "") : values;
  }
  return found;
}

export function stringifySearch(search: Raw): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") params.append(name, String(one));
    }
  }
  return params.size === 0 ? "" : `?${params}`;
}

function textOf(value: unknown): string | undefined {
  const one: unknown = Array.isArray(value) ? value[0] : value;
  const text = typeof one === "number" ? String(one) : one;
  return typeof text === "string" && text.trim() !== "" ? text.trim() : undefined;
}

/** What is not set is not in it. But the router lays this over the raw words of the address, so one of those that is
 *  passed over must be there, as undefined. */
function layOver<T extends object>(raw: Raw, search: T): T {
  return Object.fromEntries(Object.entries(search).filter(([name, value]) => value !== undefined || raw[name] !== undefined)) as T;
}

function seqOf(value: unknown): number | undefined {
  const seq = Number(textOf(value));
  return Number.isSafeInteger(seq) && seq > 0 ? seq : undefined;
}

export function readAt(raw: Raw): AtSearch {
  const at = seqOf(raw.at);
  return layOver(raw, { at, to: at === undefined ? undefined : seqOf(raw.to) });
}

export function readJobs(raw: Raw): JobsSearch {
  const states = [raw.state].flat().filter((one): one is StateName | "active" => one === "active" || isState(one));
  return layOver(raw, {
    state: states.length === 0 ? undefined : [...new Set(states)],
    kind: textOf(raw.kind),
    queue: textOf(raw.queue),
    tag: textOf(raw.tag),
    q: textOf(raw.q),
    ...readAt(raw),
  });
}

const ITEM_STATES: readonly ItemState[] = ["pending", "completed", "failed", "skipped"];

export function readJob(raw: Raw): JobSearch {
  const tab = JOB_TABS.find((one) => one === textOf(raw.tab));
  return layOver(raw, { tab: tab === "overview" ? undefined : tab, items: ITEM_STATES.find((one) => one === textOf(raw.items)), ...readAt(raw) });
}

const SPANS: readonly HistorySpan[] = ["5m", "1h", "24h", "30d"];

export function readHistory(raw: Raw): HistorySearch {
  const span = SPANS.find((one) => one === raw.span);
  return layOver(raw, { span, view: raw.view === "tables" ? "tables" : undefined, ...readAt(raw) });
}

/** The form to submit: of a kind, or filled with what a job had. */
export interface SubmitSearch extends AtSearch {
  readonly kind?: string | undefined;
  readonly from?: string | undefined;
}

export function readSubmit(raw: Raw): SubmitSearch {
  return layOver(raw, { kind: textOf(raw.kind), from: textOf(raw.from), ...readAt(raw) });
}
