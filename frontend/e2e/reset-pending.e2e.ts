// A reset meets what is still on its way: pages that wait for their job, a bulk action in the middle, a strip that asks what
// became of jobs. None of it is asked for again, nor goes on, in the new log.

import type { Page, Request, Route } from "playwright-core";
import { expect, test } from "vitest";
import type { ActionRequest, EventPage, JobBody, JobList } from "../src/api/types.gen.ts";
import { record } from "./support/record.ts";
import { listGoesOn } from "./support/settled.ts";
import { seeState, stage } from "./support/stage.ts";
import { call, submit, Worker } from "./support/worker.ts";

const play = stage();
const ACTIONS = /\/api\/jobs\/actions$/;
const live = (page: Page) => page.locator('[data-connection="live"]').waitFor();

interface Held {
  readonly requests: () => readonly Request[];
  readonly count: () => number;
  readonly letGo: () => void;
}

/** Requests that nobody answers, until they are let go. */
async function held(page: Page, url: RegExp, which: (request: Request) => boolean = () => true): Promise<Held> {
  const routes: Route[] = [];
  await page.route(url, (route) => (which(route.request()) ? void routes.push(route) : route.fallback()));
  return {
    requests: () => routes.map((route) => route.request()),
    count: () => routes.length,
    letGo: () => routes.splice(0).forEach((route) => void route.continue().catch(() => {})),
  };
}

async function reset(pages: readonly Page[], asked: readonly string[][]): Promise<void> {
  await play.daybook.kill();
  for (const page of pages) await page.locator('[data-connection="offline"]').waitFor();
  for (const one of asked) one.length = 0;
  await play.daybook.start("--reset-on-startup");
  await play.front.to(play.daybook.port);
  const fresh = await submit(play.daybook, { kind: "new" });
  for (const page of pages) {
    await page.getByRole("alert").filter({ hasText: "The server began a new log" }).waitFor();
    await page.locator(`[data-active-job-id="${fresh.id}"]`).waitFor();
  }
}

const WAITED: readonly (readonly [tab: string, url: RegExp])[] = [
  ["overview", /\/api\/jobs\/[0-9a-f-]+(\/why)?(\?|$)/],
  ["items", /\/items(\?|$)/],
  ["timeline", /\/events(\?|$)/],
  ["tree", /\/tree(\?|$)/],
];

test("pages that wait for what is on their tabs", async () => {
  const { id } = await submit(play.daybook, { kind: "old", items: [{ key: "first" }] });
  const first = await play.tab();
  const pages = [first, ...(await Promise.all(WAITED.slice(1).map(() => first.context().newPage())))];
  const asked = pages.map(record);
  const all = [];
  for (const [at, [tab, url]] of WAITED.entries()) {
    const page = pages[at] ?? first;
    const waits = await held(page, url);
    await page.goto(`/jobs/${id}?tab=${tab}`);
    await live(page);
    await expect.poll(waits.count, { message: tab }).toBeGreaterThan(0);
    all.push(waits);
  }
  await reset(pages, asked);
  for (const { letGo } of all) letGo();
  for (const page of pages) {
    await page.getByText("This job is gone with the old log").waitFor();
    await live(page);
  }
  expect(asked.flat().filter((one) => one.includes(id))).toEqual([]);
});

/** Doing it, and not the look before. */
const isDoing = (request: Request): boolean => request.method() === "POST" && request.postDataJSON().dry_run !== true;
const bodyOf = (request: Request | undefined): ActionRequest => request?.postDataJSON();

/** Many jobs of a kind, all of them chosen, and the question open what is to be done with them. */
async function chosen(kind: string, count: number): Promise<{ readonly page: Page; readonly ids: string[]; readonly asked: string[] }> {
  const ids: string[] = [];
  for (let left = count; left > 0; left -= 1_000) {
    const jobs = Array.from({ length: Math.min(left, 1_000) }, () => ({ kind, args: {} }));
    ids.push(...(await call<{ jobs: JobBody[] }>(play.daybook, "POST", "/api/jobs/bulk", { jobs })).jobs.map(({ id }) => id));
  }
  const page = await play.tab();
  const asked = record(page);
  await page.goto(`/jobs?kind=${kind}`);
  await seeState(page, ids.at(-1) ?? "", "queued");
  await live(page);
  await page.getByRole("checkbox", { name: "Select all that are loaded" }).click();
  return { page, ids, asked };
}

/** A reset while a call is held that changes jobs: it is ended, and neither it nor what would follow comes to the new log.
 *  There a job waits that the same filter matches. */
async function resetWhile({ page, asked }: { page: Page; asked: string[] }, kind: string, hold: Held): Promise<void> {
  const ended: Request[] = [];
  const answered: Request[] = [];
  page.on("requestfailed", (request) => void ended.push(request));
  page.on("response", (response) => void answered.push(response.request()));
  const [doing] = hold.requests();
  await reset([page], [asked]);
  const innocent = await submit(play.daybook, { kind });
  await expect.poll(() => ended.some((one) => one === doing)).toBe(true);
  hold.letGo();
  await page.locator("dialog[open]").waitFor({ state: "detached" });
  await seeState(page, innocent.id, "queued");
  await live(page);
  // A list that goes on: what was let go would have come before.
  await listGoesOn(page, play.daybook, kind);
  expect(asked.filter((one) => one.startsWith("POST"))).toEqual([]);
  expect(answered.filter((one) => one.method() === "POST")).toEqual([]);
  expect((await call<JobBody>(play.daybook, "GET", `/api/jobs/${innocent.id}`)).state).toBe("queued");
  const { events } = await call<EventPage>(play.daybook, "GET", "/api/events?after=0&limit=500");
  expect(events.filter(({ type, job_id }) => type.includes("cancel") && job_id === innocent.id)).toEqual([]);
}

test("selected jobs are being cancelled: it ends with the log", async () => {
  const all = await chosen("crowd", 40);
  const { page, ids, asked } = all;
  const hold = await held(page, ACTIONS, isDoing);
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel 40 jobs" }).click();
  await expect.poll(hold.count).toBe(1);
  expect(new Set(bodyOf(hold.requests()[0]).ids)).toEqual(new Set(ids));
  await resetWhile(all, "crowd", hold);
  expect(asked.filter((one) => ids.some((id) => one.includes(id)))).toEqual([]);
});

test("all that match are being cancelled, 500 at a time: after the first of them it ends with the log", async () => {
  const all = await chosen("same", 1_200);
  const { page, ids, asked } = all;
  await page.getByRole("button", { name: /^Select all/ }).click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("dialog").getByText("1,200 jobs would be cancelled.").waitFor();
  let calls = 0;
  const hold = await held(page, ACTIONS, (request) => isDoing(request) && (calls += 1) > 1);
  await page.getByRole("dialog").getByRole("button", { name: "Cancel 1,200 jobs" }).click();
  await expect.poll(hold.count).toBe(1);
  expect(bodyOf(hold.requests()[0]).ids).toHaveLength(500);
  const done = await call<JobList>(play.daybook, "GET", "/api/jobs?kind=same&state=cancelled&limit=500");
  expect([done.jobs.length, done.next_cursor]).toEqual([500, null]);
  await resetWhile(all, "same", hold);
  expect(asked.filter((one) => ids.some((id) => one.includes(id)))).toEqual([]);
});

test("more match than one look shows: the filter alone is sent, and not to the new log", async () => {
  const all = await chosen("lots", 300);
  const { page } = all;
  await page.getByRole("button", { name: /^Select all/ }).click();
  // The answer of a log with more jobs than a test can make.
  await page.route(ACTIONS, async (route) => {
    if (isDoing(route.request())) return route.fallback();
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), more: true } });
  });
  const hold = await held(page, ACTIONS, isDoing);
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("dialog").getByText("At least 300 jobs would be cancelled.").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel all" }).click();
  await expect.poll(hold.count).toBe(1);
  const { ids, filter } = bodyOf(hold.requests()[0]);
  expect({ ids: ids ?? null, filter }).toEqual({ ids: null, filter: { kind: "lots" } });
  await resetWhile(all, "lots", hold);
});

test("the strip asks what became of jobs that ended meanwhile: not in the new log", async () => {
  const worker = await Worker.join(play.daybook, "away", 2, ["away"]);
  const job = await submit(play.daybook, { kind: "away", priority: 90 });
  const lease = await worker.take();
  const page = await play.tab();
  await page.goto("/jobs");
  await page.locator(`[data-active-job-id="${job.id}"][data-state="running"]`).waitFor();
  await live(page);
  await page.goto("about:blank");
  await lease.complete({ answer: 42 });
  const asked = record(page);
  const { count, letGo } = await held(page, new RegExp(`/api/jobs/${job.id}`));
  await page.goto("/queues");
  await expect.poll(count).toBe(1);
  await reset([page], [asked]);
  letGo();
  await live(page);
  expect(await page.locator(`[data-ended-job-id="${job.id}"]`).count()).toBe(0);
  expect(asked.filter((one) => one.includes(job.id))).toEqual([]);
  expect(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))).not.toContain(job.id);
});
