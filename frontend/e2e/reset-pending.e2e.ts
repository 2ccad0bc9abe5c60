// A reset meets what is still on its way: pages that wait for their job, a bulk action in the middle, a strip that asks what
// became of jobs. None of it is asked for again, nor goes on, in the new log.

import type { Page, Route } from "playwright-core";
import { expect, test } from "vitest";
import type { JobBody } from "../src/api/types.gen.ts";
import { record } from "./support/record.ts";
import { seeState, stage } from "./support/stage.ts";
import { call, submit, Worker } from "./support/worker.ts";

const play = stage();
const live = (page: Page) => page.locator('[data-connection="live"]').waitFor();

/** Requests that nobody answers, until they are let go. */
async function held(page: Page, url: RegExp): Promise<{ readonly count: () => number; readonly letGo: () => void }> {
  const routes: Route[] = [];
  await page.route(url, (route) => void routes.push(route));
  return { count: () => routes.length, letGo: () => routes.splice(0).forEach((route) => void route.continue().catch(() => {})) };
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

test("many are being cancelled one by one: it ends with the log", async () => {
  const jobs = Array.from({ length: 40 }, () => ({ kind: "crowd", args: {} }));
  const ids = (await call<{ jobs: JobBody[] }>(play.daybook, "POST", "/api/jobs/bulk", { jobs })).jobs.map(({ id }) => id);
  const page = await play.tab();
  const asked = record(page);
  await page.goto("/jobs?kind=crowd");
  await seeState(page, ids[39] ?? "", "queued");
  await live(page);
  const { count, letGo } = await held(page, /\/cancel$/);
  await page.getByRole("checkbox", { name: "Select all that are loaded" }).click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel 40 jobs" }).click();
  await expect.poll(count).toBeGreaterThan(0);
  await reset([page], [asked]);
  letGo();
  await page.locator("dialog[open]").waitFor({ state: "detached" });
  await page.getByText("No job matches").waitFor();
  await live(page);
  expect(asked.filter((one) => ids.some((id) => one.includes(id)))).toEqual([]);
  expect(asked.filter((one) => one.startsWith("POST"))).toEqual([]);
});

test("all that match are being cancelled: it does not go on in the new log", async () => {
  await call(play.daybook, "POST", "/api/jobs/bulk", { jobs: Array.from({ length: 300 }, () => ({ kind: "same", args: {} })) });
  const page = await play.tab();
  const asked = record(page);
  await page.goto("/jobs?kind=same");
  await page.getByRole("grid", { name: "Jobs" }).getByRole("row").nth(5).waitFor();
  await live(page);
  await page.getByRole("checkbox", { name: "Select all that are loaded" }).click();
  await page.getByRole("button", { name: /^Select all/ }).click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("dialog").getByText("300 jobs would be cancelled.").waitFor();
  const { count, letGo } = await held(page, /\/api\/jobs\/actions$/);
  await page.getByRole("dialog").getByRole("button", { name: "Cancel 300 jobs" }).click();
  await expect.poll(count).toBe(1);
  await reset([page], [asked]);
  const innocent = await submit(play.daybook, { kind: "same" });
  letGo();
  await seeState(page, innocent.id, "queued");
  await live(page);
  expect(asked.filter((one) => one.startsWith("POST"))).toEqual([]);
  expect((await call<JobBody>(play.daybook, "GET", `/api/jobs/${innocent.id}`)).state).toBe("queued");
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
