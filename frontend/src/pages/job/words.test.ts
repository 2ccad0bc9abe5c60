import { expect, test } from "vitest";
import { idOf, rowOf } from "../../store/tests-support.ts";
import type { JobBody, KeptLine, PublishedEvent } from "../../api/types.gen.ts";
import { allowedFor } from "./actions.tsx";
import { attemptsOf } from "./attempts.ts";
import { changeOf } from "./change.tsx";
import { curlOf } from "./curl.ts";
import { actorOf, told } from "./event-words.ts";
import { briefOf } from "./items.tsx";
import { Choice, fileOf, partsOf } from "./log-text.ts";
import { linesOf } from "./tree-order.ts";

const event = (seq: number, type: string, data: Record<string, unknown> = {}): PublishedEvent => ({
  seq,
  at: `2026-11-22T06:00:${String(seq).padStart(2, "0")}.000Z`,
  type,
  job_id: idOf(1),
  actor: { type: "server", id: null },
  data,
});

const line = (n: number, text: string, stream: KeptLine["stream"] = "stdout"): KeptLine => ({ n, at: "2026-11-22T06:00:00.000Z", stream, text });

test("attempts are read from events: failed, lost, given back, completed, and one that runs", () => {
  const started = (seq: number, attempt: number) => event(seq, "job.started", { attempt, worker: "w", place: "remote" });
  const attempts = attemptsOf([
    event(1, "job.submitted"),
    started(2, 1),
    event(3, "job.attempt_lost", { attempt: 1, cause: "server_restarted", counted: false }),
    event(4, "job.queued", { cause: "retry_due" }),
    started(5, 1),
    event(6, "job.queued", { cause: "released" }),
    started(7, 1),
    event(8, "job.attempt_failed", { error: { code: "oops", message: "no luck" }, timed_out: false }),
    event(9, "job.queued", { cause: "retry_due" }),
    started(10, 2),
    event(11, "job.completed", { result: 1 }),
    event(12, "job.retried"),
    started(13, 1),
  ]);
  expect(attempts.map(({ number, how, detail }) => [number, how, detail])).toEqual([
    [1, "lost", "server restarted, not counted"],
    [1, "given back", "released"],
    [1, "failed", "oops: no luck"],
    [2, "completed", null],
    [1, null, null],
  ]);
  expect(attempts.map(({ ended }) => ended?.slice(17, 19) ?? null)).toEqual(["03", "06", "08", "11", null]);
});

test("events are told in words, and a type of a newer server as well as it can be", () => {
  expect(told(event(1, "job.queued", { cause: "retry_due" }))).toMatchObject({ title: "Queued", detail: "retry due", minor: false });
  expect(told(event(1, "job.progressed", { progress: { percent: 41.7, stage: "draw", message: null } }))).toMatchObject({ detail: "42 % · draw", minor: true });
  expect(told(event(1, "job.items_reported", { reports: [{ state: "failed" }, { state: "completed" }, { state: "failed" }] })).detail).toBe("2 failed, 1 completed");
  expect(told(event(1, "job.split_in_two"))).toMatchObject({ title: "split in two", detail: "" });
  expect(actorOf({ ...event(1, "x"), actor: { type: "worker", id: "w1" } })).toBe("worker w1");
});

test("each action only where it applies, and none in the past", () => {
  const items = { total: 3, completed: 1, failed: 1, skipped: 1, pending: 0 };
  const names = (fields: Parameters<typeof rowOf>[1], past = false): string[] =>
    Object.entries(allowedFor(rowOf(1, fields), past)).flatMap(([name, yes]) => (yes ? [name] : []));
  expect(names({ state: "queued" })).toEqual(["cancel", "change"]);
  expect(names({ state: "running" })).toEqual(["cancel"]);
  expect(names({ state: "running", cancel_requested_at: "2026-11-22T06:00:00.000Z" })).toEqual([]);
  expect(names({ state: "failed" })).toEqual(["retry", "purge"]);
  expect(names({ state: "completed", items })).toEqual(["retryItems", "purge"]);
  expect(names({ state: "completed", items, purged_at: "2026-11-22T06:00:00.000Z" })).toEqual([]);
  expect(names({ state: "failed", items }, true)).toEqual([]);
});

test("a change names only what differs", () => {
  const row = rowOf(1, { priority: 5, tags: ["a"] });
  expect(changeOf(row, "5", "default", "a\n")).toEqual({});
  expect(changeOf(row, "-7", " slow ", "a\n b \nb")).toEqual({ priority: -7, queue: "slow", tags: ["a", "b"] });
});

test("the command that submits a job again can be pasted into a shell", () => {
  const job: JobBody = { ...rowOf(1), args: { say: "it's $HOME" }, result: null };
  expect(curlOf(job, "http://h:1")).toBe(
    `curl -X POST 'http://h:1/api/jobs' -H 'content-type: application/json' -d '{"kind":"resize","args":{"say":"it'\\''s $HOME"},"queue":"default","max_attempts":2}'`,
  );
  const big = curlOf({ ...job, args: { image: "x".repeat(200_000) } }, "http://h:1");
  expect(big).toMatch(/--data-binary @- <<'DAYBOOK'\n\{.*\}\nDAYBOOK$/);
});

test("a tree is listed parent before children, whatever order it came in, and however deep", () => {
  const rows = [rowOf(3, { parent_id: idOf(2) }), rowOf(1), rowOf(4, { parent_id: idOf(1) }), rowOf(2, { parent_id: idOf(1) }), rowOf(9, { parent_id: idOf(8) })];
  expect(linesOf(rows).map(({ row, depth }) => [row.seq, depth])).toEqual([
    [1, 0],
    [2, 1],
    [3, 2],
    [4, 1],
    [9, 0],
  ]);
  const chain = Array.from({ length: 20_000 }, (_, n) => rowOf(n + 1, { parent_id: n === 0 ? null : idOf(n) }));
  expect(linesOf(chain).at(-1)?.depth).toBe(19_999);
});

test("lines are chosen by text and stream, and the choice goes on with those that come", () => {
  const choice = new Choice();
  const lines = [line(1, "Alpha"), line(2, "beta", "stderr"), line(3, "alphabet", "stderr")];
  const numbers = (filter: Parameters<Choice["of"]>[1], until = Infinity): number[] => choice.of(lines, filter, until).map(({ n }) => n);
  expect(numbers({ text: "ALPHA", stream: "all" })).toEqual([1, 3]);
  lines.push(line(4, "no"), line(5, "an alpha"));
  expect(numbers({ text: "ALPHA", stream: "all" })).toEqual([1, 3, 5]);
  expect(numbers({ text: "alpha", stream: "stderr" })).toEqual([3]);
  expect(numbers({ text: "", stream: "all" }, 2)).toEqual([1, 2]);
});

test("what was sought is marked, and nothing of the line is lost", () => {
  expect(partsOf("Find the find", "FIND")).toEqual([
    { text: "Find", found: true },
    { text: " the ", found: false },
    { text: "find", found: true },
  ]);
  const long = "ab".repeat(1000);
  expect(partsOf(long, "a").map(({ text }) => text).join("")).toBe(long);
  expect(fileOf([line(1, "one")])).toBe("2026-11-22T06:00:00.000Z stdout one\n");
});

test("a glimpse of an item's result is short, however large it is", () => {
  expect(briefOf("x".repeat(1_000_000))).toHaveLength(200);
  expect(briefOf({ a: 1, b: { c: 2 } })).toBe("a: 1, b: …");
  expect(briefOf([1, 2])).toBe("[ 2 ]");
});
