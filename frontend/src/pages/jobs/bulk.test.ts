import { expect, test } from "vitest";
import { Api } from "../../api/index.ts";
import { rowOf } from "../../store/tests-support.ts";
import { BrokenOff, filterOf, IDS_MAX, perform, preview, refusal, wordsOfSkipped, type Outcome, type Plan } from "./bulk.ts";

const answers = (bodies: readonly unknown[]) => {
  const asked: { path: string; body: unknown }[] = [];
  const api = new Api((path, init) => {
    asked.push({ path, body: JSON.parse(String(init?.body)) as unknown });
    const body = bodies[asked.length - 1];
    const status = (body as { status?: number } | undefined)?.status ?? 200;
    return Promise.resolve(new Response(JSON.stringify(body ?? {}), { status }));
  });
  return { api, asked };
};
const never = new AbortController().signal;
const act = (changed: string[], skipped: { id: string; code: string }[] = [], more = false) => ({ dry_run: false, matched: 0, changed, skipped, more });

test("a dry run tells what a filter would change, and changes nothing", async () => {
  const { api, asked } = answers([act(["a", "b"], [{ id: "c", code: "job_is_terminal" }], true)]);
  const outcome = await preview(api, "cancel", { filter: { kind: "resize", state: ["queued"], at: 3 } }, () => undefined, never);
  expect(outcome).toEqual({ changed: 2, skipped: { job_is_terminal: 1 }, more: true, ids: ["a", "b"] });
  expect(asked[0]?.body).toEqual({ action: "cancel", filter: { kind: "resize", state: ["queued"] }, dry_run: true });
});

const plan = (ids: string[], more = false): Plan => ({ changed: ids.length, skipped: {}, more, ids });

test("what was shown is done, and no other that matches by now", async () => {
  const { api, asked } = answers([{}, {}]);
  expect(await perform(api, "cancel", { filter: { kind: "resize" } }, plan(["a", "b"]), never, () => {})).toEqual({ changed: 2, skipped: {}, more: false });
  expect(asked.map(({ path }) => path)).toEqual(["/api/jobs/a/cancel", "/api/jobs/b/cancel"]);
});

test("where it breaks off, it says how far it came", async () => {
  const { api, asked } = answers([act(["a"], [], true), { status: 503, code: "unavailable", detail: "no" }]);
  const broken = await perform(api, "cancel", { filter: {} }, plan([], true), never, () => {}).catch((error: unknown) => error);
  expect(broken).toBeInstanceOf(BrokenOff);
  expect((broken as BrokenOff).done.changed).toBe(1);
  expect(asked.length).toBe(2);
});

test("an action goes on as long as there is more", async () => {
  const { api, asked } = answers([act(["a"], [], true), act(["b"], [{ id: "c", code: "job_is_terminal" }])]);
  const told: Outcome[] = [];
  expect(await perform(api, "cancel", { filter: {} }, plan([], true), never, (one) => told.push(one))).toEqual({ changed: 2, skipped: { job_is_terminal: 1 }, more: false });
  expect(asked.length).toBe(2);
  expect(told.map(({ changed }) => changed)).toEqual([1, 2]);
});

test("an action ends when the same jobs come again", async () => {
  const { api, asked } = answers([act(["a"], [], true), act(["a"], [], true), act(["a"], [], true)]);
  expect(await perform(api, "cancel", { filter: {} }, plan([], true), never, () => {})).toEqual({ changed: 1, skipped: {}, more: true });
  expect(asked.length).toBe(2);
});

test("selected jobs are asked for one by one, and a refusal of one stops no other", async () => {
  const { api, asked } = answers([{}, { status: 409, code: "job_is_terminal", detail: "it has ended" }, {}]);
  const outcome = await perform(api, "retry", { ids: ["c", "a", "b"] }, plan(["c", "a", "b"]), never, () => {});
  expect(outcome).toEqual({ changed: 2, skipped: { job_is_terminal: 1 }, more: false });
  // The oldest first: others may wait for it.
  expect(asked.map(({ path }) => path)).toEqual(["/api/jobs/a/retry", "/api/jobs/b/retry", "/api/jobs/c/retry"]);
});

test("selected jobs are judged by what is known of them", async () => {
  const { api, asked } = answers([]);
  const rows = new Map([
    ["a", rowOf(1, { state: "failed" })],
    ["b", rowOf(2, { state: "running" })],
  ]);
  expect(await preview(api, "retry", { ids: ["a", "b", "c"] }, (id) => rows.get(id), never)).toEqual({ changed: 2, skipped: { job_not_retryable: 1 }, more: false, ids: ["a", "b", "c"] });
  expect(refusal("cancel", rowOf(1, { state: "completed" }))).toBe("job_is_terminal");
  expect(asked).toEqual([]);
});

test("not more than a thousand single requests are made", async () => {
  const { api, asked } = answers([]);
  const ids = Array.from({ length: IDS_MAX + 5 }, (_, at) => String(at));
  const looked = await preview(api, "cancel", { ids }, () => undefined, never);
  expect(looked.more).toBe(true);
  expect((await perform(api, "cancel", { ids }, looked, never, () => {})).more).toBe(true);
  expect(asked.length).toBe(IDS_MAX);
});

test("empty parts of a filter are left out", () => {
  expect(filterOf({ state: [], q: "", tag: "red" })).toEqual({ tag: "red" });
  expect(wordsOfSkipped({ job_is_terminal: 1200, odd_code: 1 })).toBe("1,200 already ended, 1 odd code");
});
