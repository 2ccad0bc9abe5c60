import { expect, test } from "vitest";
import type { EventList, ItemList, ItemRow, PublishedEvent } from "../api/types.gen.ts";
import type { LogEvent } from "../sync/index.ts";
import { JobEvents } from "./events.ts";
import { Frame } from "./frame.ts";
import { ItemPages } from "./items.ts";
import { JobWatch } from "./job.ts";
import { LogTail } from "./log.ts";
import { RowStore } from "./rows.ts";
import { FakeServer, idOf, ManualFrames, rowOf } from "./tests-support.ts";

const ID = idOf(1);
const EPOCH = "01990000-0000-7000-8000-00000000000e";
const event = (seq: number, type = "job.progressed", data: Record<string, unknown> = {}): PublishedEvent & LogEvent => ({ seq, at: "", type, job_id: ID, actor: { type: "server", id: null }, data });
const lines = (from: number, to: number, text = "x") => Array.from({ length: to - from + 1 }, (_, at) => ({ n: from + at, at: "", stream: "stdout", text }));
const settled = (): Promise<void> => new Promise((done) => setTimeout(done));

test("a log keeps its last lines, and says how many came before them", () => {
  const frames = new ManualFrames();
  const server = new FakeServer();
  const log = new LogTail({ subscribe: server.subscribe, frame: new Frame(frames) }, ID, 100);
  log.open();
  server.say({ type: "logs", id: "a", job_id: ID, lines: lines(1, 150) });
  server.say({ type: "live", id: "a", seq: 1 });
  frames.turn();
  expect(log.view.get()).toMatchObject({ before: 0, phase: "live" });
  server.say({ type: "logs", id: "a", job_id: ID, lines: lines(151, 250) });
  frames.turn();
  expect([log.view.get().lines.length, log.view.get().before]).toEqual([100, 150]);
});

test("a log of very long lines keeps fewer", () => {
  const frames = new ManualFrames();
  const server = new FakeServer();
  const log = new LogTail({ subscribe: server.subscribe, frame: new Frame(frames) }, ID);
  log.open();
  const text = "y".repeat(65_536);
  server.say({ type: "logs", id: "a", job_id: ID, lines: lines(1, 2_000, text) });
  frames.turn();
  const { lines: kept } = log.view.get();
  expect(kept.length * text.length).toBeLessThan(50_000_000);
  expect(kept.at(-1)?.n).toBe(2_000);
});

test("events come by pages, then live from where those end, each once", async () => {
  const frames = new ManualFrames();
  const server = new FakeServer();
  const pages: EventList[] = [
    { events: [event(1), event(2)], next_cursor: "n", epoch: EPOCH, seq: 8, earliest: 1 },
    { events: [event(5)], next_cursor: null, epoch: EPOCH, seq: 9, earliest: 1 },
  ];
  const asked: (string | null)[] = [];
  const page = (cursor: string | null): Promise<EventList> => {
    asked.push(cursor);
    return Promise.resolve(pages[asked.length - 1] as EventList);
  };
  const events = new JobEvents({ subscribe: server.subscribe, frame: new Frame(frames), page }, ID);
  events.open();
  await settled();
  expect(asked).toEqual([null, "n"]);
  expect(server.asked[0]?.wanted).toEqual({ topic: "events", filter: { id: ID }, since: { epoch: EPOCH, seq: 9 } });
  server.say({ type: "events", id: "a", seq: 12, events: [event(5), event(12)] });
  frames.turn();
  expect(events.view.get().events.map(({ seq }) => seq)).toEqual([1, 2, 5, 12]);
  expect(events.view.get()).toMatchObject({ complete: true, phase: "ready" });
});

test("of a job that reports for days the oldest reports are let go, and what else happened stays", async () => {
  const frames = new ManualFrames();
  const server = new FakeServer();
  const page = (): Promise<EventList> => Promise.resolve({ events: [event(1, "job.submitted"), event(2, "job.started")], next_cursor: null, epoch: EPOCH, seq: 2, earliest: 1 });
  const events = new JobEvents({ subscribe: server.subscribe, frame: new Frame(frames), page }, ID);
  events.open();
  await settled();
  for (let from = 3; from < 30_000; from += 1000) server.say({ type: "events", id: "a", events: Array.from({ length: 1000 }, (_, at) => event(from + at)), seq: from + 999 });
  frames.turn();
  const { events: kept, gone } = events.view.get();
  expect(kept.length).toBeLessThanOrEqual(22_000);
  expect(kept.length + gone).toBe(30_002);
  expect(kept.slice(0, 2).map(({ type }) => type)).toEqual(["job.submitted", "job.started"]);
  expect(kept.at(-1)?.seq).toBe(30_002);
});

test("events of a past moment end there, and nothing is followed", async () => {
  const frames = new ManualFrames();
  const server = new FakeServer();
  const page = (): Promise<EventList> => Promise.resolve({ events: [event(1), event(2), event(5)], next_cursor: "n", epoch: EPOCH, seq: 9, earliest: 1 });
  const events = new JobEvents({ subscribe: server.subscribe, frame: new Frame(frames), page }, ID, 2);
  events.open();
  await settled();
  frames.turn();
  expect(events.view.get().events.map(({ seq }) => seq)).toEqual([1, 2]);
  expect(server.asked).toEqual([]);
});

const item = (key: string, state: ItemRow["state"] = "pending"): ItemRow => ({ key, state, args: null, result: null, error: null });

function batch(pages: ItemList[], state?: ItemRow["state"]) {
  const frames = new ManualFrames();
  const server = new FakeServer();
  const waiting: ((page: ItemList) => void)[] = [];
  const page = (): Promise<ItemList> => new Promise((done) => waiting.push(done));
  const items = new ItemPages({ subscribe: server.subscribe, frame: new Frame(frames), page }, ID, state, true);
  items.open();
  const answer = async (): Promise<void> => {
    const next = pages.shift();
    if (next !== undefined) waiting.shift()?.(next);
    await settled();
    frames.turn();
  };
  return { items, server, answer, frames, waiting };
}

const report = (seq: number, key: string, state: string) => event(seq, "job.items_reported", { reports: [{ key, state, result: { n: seq }, error: null }] });

test("a report changes its item where it stands, if it is newer than the page", async () => {
  const { items, server, answer, frames } = batch([{ items: [item("a"), item("b", "completed")], next_cursor: null, epoch: EPOCH, seq: 10 }]);
  await answer();
  expect(server.asked[0]?.wanted.since).toEqual({ epoch: EPOCH, seq: 10 });
  server.say({ type: "events", id: "a", seq: 12, events: [report(9, "b", "failed"), report(12, "a", "failed")] });
  frames.turn();
  expect([items.get("a")?.state, items.get("b")?.state]).toEqual(["failed", "completed"]);
  server.say({ type: "events", id: "a", seq: 13, events: [event(13, "job.items_added", { items: [{ key: "c", args: 1 }] })] });
  frames.turn();
  expect(items.view.get().keys).toEqual(["a", "b", "c"]);
});

test("a report that comes while its page is on the way is not lost", async () => {
  const { items, server, answer } = batch([
    { items: [item("a")], next_cursor: "n", epoch: EPOCH, seq: 10 },
    { items: [item("b")], next_cursor: null, epoch: EPOCH, seq: 11 },
  ]);
  // The first reading goes on to 500 items.
  await answer();
  await answer();
  expect(items.view.get().keys).toEqual(["a", "b"]);
  server.say({ type: "events", id: "a", seq: 12, events: [report(12, "b", "completed")] });
  expect(items.get("b")?.state).toBe("completed");
});

test("the end of the job reads the items again, since unreported ones are skipped then", async () => {
  const { items, server, answer, waiting } = batch([
    { items: [item("a")], next_cursor: null, epoch: EPOCH, seq: 10 },
    { items: [item("a", "skipped")], next_cursor: null, epoch: EPOCH, seq: 12 },
  ]);
  await answer();
  server.say({ type: "events", id: "a", seq: 11, events: [event(11, "job.completed")] });
  expect(waiting).toHaveLength(1);
  await answer();
  expect(items.get("a")?.state).toBe("skipped");
});

test("a job that leaves the log while it is followed is told", () => {
  const server = new FakeServer();
  const frames = new ManualFrames();
  const rows = new RowStore(new Frame(frames));
  let left = 0;
  const watch = new JobWatch({ subscribe: server.subscribe, rows }, ID, () => (left += 1));
  watch.open();
  server.snapshot([rowOf(1)]);
  server.changes(5, [], [ID]);
  expect([left, rows.get(ID)]).toEqual([1, undefined]);
});
