import { expect, test } from "vitest";
import { Api } from "../../api/index.ts";
import { BrokenOff, filterOf, IDS_MAX, perform, preview, wordsOfSkipped, type Outcome, type Plan } from "./bulk.ts";

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
  const outcome = await preview(api, "cancel", { filter: { kind: "resize", state: ["queued"], at: 3 } }, never);
  expect(outcome).toEqual({ changed: 2, skipped: { job_is_terminal: 1 }, more: true, ids: ["a", "b"] });
  expect(asked[0]?.body).toEqual({ action: "cancel", filter: { kind: "resize", state: ["queued"] }, dry_run: true });
});

const plan = (ids: string[], more = false): Plan => ({ changed: ids.length, skipped: {}, more, ids });

test("what was shown is done, the oldest first, and no other that matches by now", async () => {
  const { api, asked } = answers([act(["b", "a"], [{ id: "c", code: "job_is_terminal" }])]);
  expect(await perform(api, "cancel", { filter: { kind: "resize" } }, plan(["c", "b", "a"]), never, () => {})).toEqual({ changed: 2, skipped: { job_is_terminal: 1 }, more: false });
  expect(asked).toEqual([{ path: "/api/jobs/actions", body: { action: "cancel", filter: {}, ids: ["a", "b", "c"], dry_run: false } }]);
});

test("many are done some at a time, so that one sees it go on and can stop it", async () => {
  const ids = Array.from({ length: 1200 }, (_, at) => String(at).padStart(4, "0"));
  const { api, asked } = answers([act(ids.slice(0, 500)), act(ids.slice(500, 1000)), act(ids.slice(1000))]);
  const stop = new AbortController();
  const told: Outcome[] = [];
  const done = await perform(api, "retry", { ids }, plan(ids), stop.signal, (one) => {
    told.push(one);
    if (told.length === 2) stop.abort();
  });
  expect(told.map(({ changed, more }) => [changed, more])).toEqual([[500, true], [1000, true]]);
  expect([done, asked.length]).toEqual([{ changed: 1000, skipped: {}, more: true }, 2]);
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

test("selected jobs are looked at by their ids, as many as one call takes", async () => {
  const { api, asked } = answers([act(["a"], [{ id: "b", code: "job_not_found" }])]);
  const ids = Array.from({ length: IDS_MAX + 5 }, (_, at) => String(at));
  expect(await preview(api, "retry", { ids }, never)).toEqual({ changed: 1, skipped: { job_not_found: 1 }, more: true, ids: ["a"] });
  expect(asked[0]?.body).toEqual({ action: "retry", filter: {}, ids: ids.slice(0, IDS_MAX), dry_run: true });
});

test("empty parts of a filter are left out", () => {
  expect(filterOf({ state: [], q: "", tag: "red" })).toEqual({ tag: "red" });
  expect(wordsOfSkipped({ job_is_terminal: 1200, odd_code: 1 })).toBe("1,200 already ended, 1 odd code");
});
