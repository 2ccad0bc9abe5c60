import { expect, test } from "vitest";
import { JobMirror, type Row, type SyncEvent } from "../index.ts";

function row(id: string, seq: number, state = "queued"): Row {
  return { id, seq, state };
}

function changes(seq: number, rows: Row[], left: string[] = []): SyncEvent {
  return { type: "changes", id: "a", seq, rows, left };
}

test("the newer row wins, whatever the order of arrival", () => {
  const mirror = new JobMirror();
  mirror.apply(changes(9, [row("1", 9, "running")]));
  expect(mirror.put([row("1", 7), row("2", 6)])).toEqual(new Set(["2"]));
  expect(mirror.get("1")?.state).toBe("running");
  mirror.put([row("1", 12, "completed")]);
  expect(mirror.get("1")?.state).toBe("completed");
});

test("an answer that is older than a leaving does not bring the row back", () => {
  const mirror = new JobMirror();
  mirror.put([row("1", 5)]);
  expect(mirror.apply(changes(8, [], ["1"]))).toEqual(new Set(["1"]));
  mirror.put([row("1", 5)]);
  mirror.put([row("1", 8)]);
  expect(mirror.size).toBe(0);
  mirror.put([row("1", 9)]);
  expect(mirror.size).toBe(1);
});

test("a leaving that is older than the row that is held is passed over", () => {
  const mirror = new JobMirror();
  mirror.put([row("1", 12)]);
  expect(mirror.apply(changes(8, [], ["1"]))).toEqual(new Set());
  expect(mirror.size).toBe(1);
});

test("the first page of a snapshot and a reset clear, later pages add", () => {
  const mirror = new JobMirror();
  mirror.put([row("old", 1)]);
  const page = { type: "snapshot", id: "a", seq: 9 } as const;
  expect(mirror.apply({ ...page, first: true, more: true, rows: [row("2", 2)] })).toBe("all");
  mirror.apply({ ...page, first: false, more: false, rows: [row("1", 1)] });
  expect(mirror.list().map(({ id }) => id)).toEqual(["2", "1"]);
  mirror.apply({ type: "reset", id: "a", reason: "unknown_epoch" });
  expect(mirror.size).toBe(0);
  // Seqs start again after a reset: what left before it must not hide what comes now.
  mirror.put([row("2", 1)]);
  expect(mirror.size).toBe(1);
});

test("progress replaces that of a row that is held, and makes none", () => {
  const mirror = new JobMirror();
  mirror.put([row("1", 3)]);
  const progress = { percent: 40 };
  const event: SyncEvent = { type: "progress", id: "a", jobs: [{ id: "1", progress }, { id: "2", progress }] };
  expect(mirror.apply(event)).toEqual(new Set(["1"]));
  expect(mirror.get("1")?.progress).toEqual(progress);
  expect(mirror.size).toBe(1);
});

test("a mirror is bounded, and lets the oldest go", () => {
  const mirror = new JobMirror({ rowsMax: 100 });
  const ids = Array.from({ length: 101 }, (_, at) => String(at).padStart(4, "0"));
  const changed = mirror.put(ids.map((id, at) => row(id, at + 1)));
  expect(mirror.size).toBe(90);
  expect(mirror.get("0000")).toBeUndefined();
  expect(mirror.get("0100")).toBeDefined();
  expect(changed.has("0000")).toBe(true);
});
