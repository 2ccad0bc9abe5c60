import { expect, test } from "vitest";
import type { JobBody, JobRow } from "../api/types.gen.ts";
import type { SubscriptionEvent, Wanted } from "../sync/index.ts";
import { Active } from "./active.ts";
import type { Around } from "./around.ts";
import { Frame } from "./frame.ts";
import { KEPT_NAME, readKept, writeKept } from "./kept.ts";
import { RowStore } from "./rows.ts";
import { idOf, ManualFrames, rowOf } from "./tests-support.ts";

interface Asked {
  readonly wanted: Wanted;
  readonly hear: (event: SubscriptionEvent) => void;
}

class FakeAround implements Around {
  readonly kept = new Map<string, string>();
  readonly due: (() => void)[] = [];
  isHidden = false;
  told: (text: string | null) => void = () => {};
  read = (name: string): string | null => this.kept.get(name) ?? null;
  write = (name: string, text: string | null): void => void (text === null ? this.kept.delete(name) : this.kept.set(name, text));
  onWrite = (_name: string, hear: (text: string | null) => void): void => void (this.told = hear);
  hidden = (): boolean => this.isHidden;
  after = (_ms: number, run: () => void): (() => void) => {
    this.due.push(run);
    return () => {};
  };
}

function make(kept?: string) {
  const [frames, around] = [new ManualFrames(), new FakeAround()];
  if (kept !== undefined) around.kept.set(KEPT_NAME, kept);
  const frame = new Frame(frames);
  const asked: Asked[] = [];
  const jobs: string[] = [];
  const state = { live: true };
  const active = new Active({
    subscribe: (wanted, hear) => {
      asked.push({ wanted, hear });
      return { id: "a", update: () => {}, close: () => {} };
    },
    rows: new RowStore(frame),
    frame,
    page: () => Promise.reject(new Error("no pages here")),
    around,
    job: async (id) => {
      jobs.push(id);
      return { ...rowOf(Number(id.slice(-12))), id, state: "completed", result: 42, seq: 90 } as unknown as JobBody;
    },
    count: async () => 7,
    live: () => state.live,
    epoch: () => "one",
  });
  active.open();
  const say = (what: "events" | "running" | "active", event: SubscriptionEvent): void => {
    const match = ({ wanted }: Asked): boolean => (what === "events" ? wanted.topic === "events" : JSON.stringify(wanted.filter?.state) === `["${what}"]`);
    asked.find(match)?.hear(event);
  };
  const snapshot = (rows: readonly JobRow[]): void => {
    for (const what of ["running", "active"] as const) {
      const own = what === "running" ? rows.filter((row) => row.state === "running") : rows;
      say(what, { type: "snapshot", id: "a", seq: 50, first: true, more: false, rows: own as never });
    }
    frames.turn();
    frames.turn();
  };
  const left = (id: string, seq: number): void => {
    say("active", { type: "changes", id: "a", seq, rows: [], left: [id] });
    frames.turn();
  };
  const settle = async (): Promise<void> => {
    for (let n = 0; n < 10; n++) await Promise.resolve();
    frames.turn();
  };
  const view = () => active.view.get();
  return { active, around, asked, jobs, state, say, snapshot, left, settle, view, frames };
}

const keptWith = (...ids: string[]): string => writeKept({ epoch: "zero", seq: 40, ids, dismissed: new Map() });

test("those that run come first, then the newest", () => {
  const { snapshot, view } = make();
  snapshot([rowOf(3), rowOf(2), rowOf(1, { state: "running" })]);
  expect(view().ids).toEqual([idOf(1), idOf(3), idOf(2)]);
  expect(view().more).toBe(0);
});

test("a job that somebody saw end goes without a word; one that nobody saw end stays with its result", async () => {
  const { snapshot, left, settle, view, around, jobs } = make();
  snapshot([rowOf(3), rowOf(2)]);
  left(idOf(3), 60);
  await settle();
  expect(view()).toMatchObject({ ids: [idOf(2)], ended: [] });
  around.isHidden = true;
  left(idOf(2), 61);
  await settle();
  expect(jobs).toEqual([idOf(2)]);
  expect(view().ended.map(({ id }) => id)).toEqual([idOf(2)]);
});

test("a job whose end one of the two lists has not heard of yet is not kept as active", () => {
  const { snapshot, left, view, around, say, frames } = make();
  snapshot([rowOf(3), rowOf(2, { state: "running" })]);
  left(idOf(2), 60);
  frames.turn();
  expect(view().ids).toEqual([idOf(3)]);
  const keptIds = () => readKept(around.kept.get(KEPT_NAME) ?? null)?.ids;
  expect(keptIds()).toEqual([idOf(3)]);
  say("running", { type: "changes", id: "b", seq: 60, rows: [], left: [idOf(2)] });
  frames.turn();
  expect(keptIds()).toEqual([idOf(3)]);
  // It runs again.
  for (const what of ["active", "running"] as const) say(what, { type: "changes", id: "a", seq: 70, rows: [rowOf(2, { state: "running", seq: 70 })] as never, left: [] });
  frames.turn();
  frames.turn();
  expect(view().ids).toEqual([idOf(2), idOf(3)]);
});

test("what was kept is asked for only when the server took its place, and the active ones have come", async () => {
  const { snapshot, settle, say, view, jobs, asked } = make(keptWith(idOf(1), idOf(2)));
  expect(asked[0]?.wanted).toMatchObject({ topic: "events", since: { epoch: "zero", seq: 40 } });
  snapshot([rowOf(2)]);
  await settle();
  expect(jobs).toEqual([]);
  say("events", { type: "live", id: "a", seq: 50 });
  await settle();
  expect(jobs).toEqual([idOf(1)]);
  expect(view()).toMatchObject({ ids: [idOf(2)], ended: [{ id: idOf(1) }] });
});

test("a place that is refused drops what was kept, without a question", async () => {
  const { snapshot, settle, say, jobs, around } = make(keptWith(idOf(1)));
  say("events", { type: "reset", id: "a", reason: "unknown_epoch" });
  snapshot([rowOf(7)]);
  await settle();
  expect(jobs).toEqual([]);
  expect(around.kept.get(KEPT_NAME)).not.toContain(idOf(1));
});

test("until then nothing is written over it: another place would vouch for ids that it does not know", () => {
  const { snapshot, around } = make(keptWith(idOf(1)));
  snapshot([rowOf(7)]);
  expect(around.kept.get(KEPT_NAME)).toBe(keptWith(idOf(1)));
});

test("dismissed here is dismissed in all tabs, and another tab's hand counts here", async () => {
  const { active, snapshot, left, settle, view, around } = make();
  around.isHidden = true;
  snapshot([rowOf(3), rowOf(2)]);
  left(idOf(3), 60);
  left(idOf(2), 61);
  await settle();
  expect(view().ended).toHaveLength(2);
  active.dismiss(idOf(3));
  await settle();
  expect(around.kept.get(KEPT_NAME)).toContain(`["${idOf(3)}",90]`);
  around.told(writeKept({ epoch: "one", seq: 70, ids: [], dismissed: new Map([[idOf(2), 90]]) }));
  await settle();
  expect(view().ended).toEqual([]);
});

test("a reset forgets all, also what is kept", async () => {
  const { active, snapshot, left, settle, view, around, jobs } = make();
  snapshot([rowOf(3), rowOf(2)]);
  around.isHidden = true;
  left(idOf(3), 60);
  active.clear();
  await settle();
  expect(view()).toMatchObject({ ids: [], ended: [] });
  expect(around.kept.size).toBe(0);
  expect(jobs.length).toBeLessThanOrEqual(1);
});

test("rubbish in the storage is passed over", () => {
  for (const text of ["", "null", "[]", '{"epoch":1}', '{"epoch":"a","seq":-1,"ids":[],"dismissed":[]}']) {
    expect(make(text).asked[0]?.wanted.topic).toBe("jobs");
  }
});
