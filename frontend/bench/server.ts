// A server that is none, in a worker: 100,000 jobs, subscriptions with filters, pages by cursor, and so many changes a
// second near where one looks, in commits of so many. Each commit is a frame for each subscription that it concerns.

import type { JobRow, StateName } from "../src/api/types.gen.ts";
import { idOf, rowOf } from "../src/store/tests-support.ts";
import type { ClientFrame, Filter } from "../src/sync/protocol.ts";
import { ROWS, type ToPage, type ToServer } from "./words.ts";

const EPOCH = "01997f5a-6e00-7000-8000-00000000be4c";
const STATES: readonly StateName[] = ["queued", "running", "completed", "failed", "retryable"];
const ACTIVE: readonly string[] = ["scheduled", "queued", "blocked", "running", "retryable"];
const TICK_MS = 10;
const ADDED_IN = 20;
const NEAR_ROWS = 60;
const PAGE_ROWS = 50;

interface Subscription {
  readonly id: string;
  filter: Filter;
  seq: number;
}

const subscriptions = new Map<string, Subscription>();
const changed = new Map<number, JobRow>();
let newest = ROWS;
let seq = ROWS * 2;
let near = ROWS;
let [perSecond, commit] = [0, 1];
let [began, done] = [0, 0];

const tell = (words: ToPage): void => (globalThis as unknown as { postMessage: (words: ToPage) => void }).postMessage(words);
const send = (frame: object): void => tell({ type: "frame", text: JSON.stringify(frame) });

function made(n: number, at: number): JobRow {
  const state = STATES[at % STATES.length] ?? "queued";
  const time = new Date(Date.now() - (ROWS - n) * 100).toISOString();
  const progress = { percent: at % 100, stage: "render", message: `frame ${at}`, done: null, total: null, preview: null };
  const tags = n % 3 === 0 ? ["red", "nightly"] : [];
  return rowOf(n, { id: idOf(n), seq: at, state, tags, created_at: time, started_at: time, attempt: 1, kind: `kind-${n % 7}`, progress: state === "running" ? progress : null });
}

const rowAt = (n: number): JobRow => changed.get(n) ?? made(n, n);

function matches(row: JobRow, { state, kind, queue, tag }: Filter): boolean {
  const states = state === undefined ? null : [state].flat();
  if (states !== null && !states.some((one) => one === row.state || (one === "active" && ACTIVE.includes(row.state)))) return false;
  return (kind === undefined || kind === row.kind) && (queue === undefined || queue === row.queue) && (tag === undefined || row.tags.includes(tag));
}

/** Downwards from a number: so many that match. */
function rowsFrom(from: number, filter: Filter, limit: number): JobRow[] {
  const rows: JobRow[] = [];
  for (let n = from; n > 0 && rows.length < limit; n--) {
    const row = rowAt(n);
    if (matches(row, filter)) rows.push(row);
  }
  return rows;
}

function snapshot(one: Subscription): void {
  one.seq = seq;
  send({ type: "subscribed", id: one.id, recovered: true, mode: "snapshot", seq });
  send({ type: "snapshot", id: one.id, seq, more: false, jobs: rowsFrom(newest, one.filter, one.filter.limit ?? 1_000) });
}

function hear(frame: ClientFrame): void {
  if (frame.type === "subscribe" && frame.topic === "jobs") {
    const one = { id: frame.id, filter: frame.filter, seq };
    subscriptions.set(frame.id, one);
    snapshot(one);
  } else if (frame.type === "subscribe") {
    const table = frame.topic === "queues" || frame.topic === "workers";
    send({ type: "subscribed", id: frame.id, recovered: true, mode: table ? "snapshot" : "live", seq });
    if (table) send({ type: "snapshot", id: frame.id, seq, more: false, [frame.topic]: [] });
  } else if (frame.type === "update") {
    const one = subscriptions.get(frame.id);
    if (one !== undefined) snapshot({ ...one, filter: frame.filter });
    if (one !== undefined) subscriptions.set(frame.id, { ...one, filter: frame.filter, seq });
  } else if (frame.type === "unsubscribe") subscriptions.delete(frame.id);
}

/** Some jobs near where one looks, and now and then a new one. */
function change(count: number): void {
  const rows: { readonly before: JobRow | null; readonly row: JobRow }[] = [];
  for (let at = 0; at < count; at++) {
    seq += 1;
    done += 1;
    const added = done % ADDED_IN === 0;
    const n = added ? (newest += 1) : Math.max(1, Math.min(newest, near - Math.floor(Math.random() * NEAR_ROWS)));
    const before = added ? null : rowAt(n);
    const row = made(n, seq);
    changed.set(n, row);
    rows.push({ before, row });
  }
  for (const one of subscriptions.values()) {
    const jobs = rows.filter(({ row }) => matches(row, one.filter)).map(({ row }) => row);
    const left = rows.filter(({ before, row }) => before !== null && matches(before, one.filter) && !matches(row, one.filter)).map(({ row }) => row.id);
    if (jobs.length + left.length === 0) continue;
    send({ type: "changes", id: one.id, prev: one.seq, seq, jobs, left });
    one.seq = seq;
  }
}

function answer(path: string): { readonly status: number; readonly body: object } {
  const { pathname, searchParams } = new URL(path, "http://bench");
  const ok = (body: object) => ({ status: 200, body: { ...body, seq, epoch: EPOCH } });
  if (pathname === "/api/jobs") {
    const filter = Object.fromEntries(searchParams) as Filter;
    const limit = Number(searchParams.get("limit") ?? PAGE_ROWS);
    const jobs = rowsFrom(Number(searchParams.get("cursor") ?? newest + 1) - 1, filter, limit);
    const last = Number(jobs.at(-1)?.id.slice(-12) ?? 1);
    return ok({ jobs, next_cursor: jobs.length < limit || last <= 1 ? null : String(last) });
  }
  if (pathname === "/api/stats") {
    const jobs = { scheduled: 0, queued: 0, blocked: 0, running: 0, retryable: 0, completed: 0, failed: 0, cancelled: 0 };
    return ok({ jobs: { ...jobs, queued: newest - (seq % 1000), completed: seq }, kinds: [], queues: [], workers: 0 });
  }
  if (pathname === "/api/kinds") return ok({ kinds: [], next_cursor: null });
  if (pathname === "/api/queues") return ok({ queues: [], next_cursor: null });
  return { status: 404, body: { status: 404, code: "job_not_found", title: "not here", detail: "the bench has no such thing" } };
}

addEventListener("message", ({ data }: MessageEvent<ToServer>) => {
  if (data.type === "open") send({ type: "status", epoch: EPOCH, started_at: new Date().toISOString(), seq, earliest: 1, session: "bench", ping_s: 10, version: "0" });
  else if (data.type === "frame") hear(JSON.parse(data.text) as ClientFrame);
  else if (data.type === "ask") {
    const { status, body } = answer(data.path);
    tell({ type: "answer", id: data.id, status, epoch: EPOCH, body: JSON.stringify(body) });
  } else if (data.type === "look") near = data.number;
  else [perSecond, commit, began, done] = [data.perSecond, data.commit, performance.now(), 0];
});

setInterval(() => {
  for (let due = Math.floor(((performance.now() - began) / 1000) * perSecond) - done; due > 0; due -= commit) change(Math.min(due, commit));
}, TICK_MS);
setInterval(() => send({ type: "ping" }), 5_000);
