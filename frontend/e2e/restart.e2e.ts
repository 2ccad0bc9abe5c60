// Restarts, resets and cut lines: what the page says of the jobs, what it keeps, and what it never asks for again.

import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { beforeEach, expect, test } from "vitest";
import { ECHO_CONFIG, ECHO_FILE } from "./support/echo.ts";
import { record } from "./support/record.ts";
import { listGoesOn } from "./support/settled.ts";
import { picture, pill, seeState, stage, violations } from "./support/stage.ts";
import { call, submit, Worker } from "./support/worker.ts";

const play = stage({ config: ECHO_CONFIG, files: { "echo.py": ECHO_FILE } });
const live = (page: Page) => page.locator('[data-connection="live"]').waitFor();
const connection = (page: Page, word: string) => page.locator(`[data-connection="${word}"]`).waitFor();
const said = (page: Page, words: string | RegExp) => page.getByRole("status").filter({ hasText: words }).first().waitFor();

const letGo = (): void => writeFileSync(join(play.daybook.folder, "go"), "");
beforeEach(() => rmSync(join(play.daybook.folder, "go"), { force: true }));

/** A new log, as an operator makes it; the page meets it when it connects again. */
const reset = (): Promise<void> => play.restart("--reset-on-startup");

test("a server that is killed and started again: the notice says what became of the jobs, and lists them", async () => {
  const jobs = [await submit(play.daybook, { kind: "echo", args: { n: 1 } }), await submit(play.daybook, { kind: "echo", args: { n: 2 } })];
  const page = await play.tab();
  await page.goto("/jobs");
  for (const { id } of jobs) await seeState(page, id, "running");
  await live(page);
  await play.restart();
  await connection(page, "restarted");
  await said(page, "The server restarted");
  await said(page, "2 lost their runs and are queued again");
  await page.getByRole("button", { name: "Show these jobs" }).click();
  const list = page.getByRole("dialog", { name: "What the restart did" });
  await list.getByText(/server restarted, event/).first().waitFor();
  expect(await list.getByRole("link").count()).toBe(2);
  await list.getByText("running").first().waitFor();
  expect(await violations(page)).toEqual([]);
  await picture(page, "restart-list");
  await list.getByRole("link").first().click();
  await page.waitForURL("**/jobs/*");
  letGo();
  await page.goto("/jobs");
  for (const { id } of jobs) await seeState(page, id, "completed");
});

test("a server that is stopped in order gives its jobs back, and the notice says so", async () => {
  const job = await submit(play.daybook, { kind: "echo" });
  const page = await play.tab();
  await page.goto("/jobs");
  await seeState(page, job.id, "running");
  await live(page);
  await play.daybook.stop();
  await connection(page, "offline");
  await page.getByText(/retry in|retrying/).waitFor();
  await play.daybook.start();
  await play.front.to(play.daybook.port);
  await page.getByRole("button", { name: "Retry now" }).click({ timeout: 2_000 }).catch(() => {});
  await said(page, "1 was queued again");
  letGo();
  await seeState(page, job.id, "completed");
});

test("a page that is loaded again after a restart says what became of the jobs since it was left", async () => {
  const job = await submit(play.daybook, { kind: "echo" });
  const page = await play.tab();
  await page.goto("/jobs");
  await page.locator(`[data-active-job-id="${job.id}"][data-state="running"]`).waitFor();
  await live(page);
  await page.goto("about:blank");
  await play.restart();
  await page.goto("/jobs");
  await said(page, "1 lost its run and is queued again");
  letGo();
  await seeState(page, job.id, "completed");
});

test("a worker that comes back with its leases goes on, and so says the notice", async () => {
  const job = await submit(play.daybook, { kind: "remote", priority: 90 });
  const worker = await Worker.join(play.daybook);
  const lease = await worker.take();
  expect(lease.id).toBe(job.id);
  const page = await play.tab();
  await page.goto("/jobs");
  await seeState(page, job.id, "running");
  await live(page);
  await play.restart();
  await said(page, "The server restarted");
  const again = await Worker.join(play.daybook);
  await again.resume([lease]);
  await said(page, "1 job goes on where it was");
  await lease.complete(1);
  await seeState(page, job.id, "completed");
});

test("a cut line: the pill counts down, nothing is said of a restart, and what was missed comes", async () => {
  const page = await play.tab();
  await page.goto("/jobs");
  await live(page);
  play.front.cut();
  await connection(page, "offline");
  await page.getByText(/retry in|retrying/).waitFor();
  const job = await submit(play.daybook, { kind: "missed" });
  play.front.mend();
  await live(page);
  await seeState(page, job.id, "queued");
  await listGoesOn(page, play.daybook);
  expect(await page.getByRole("status").filter({ hasText: "restarted" }).count()).toBe(0);
});

test("after a reset nothing of the old log is shown, kept or asked for: from a list, a job, the strip, a second tab, the past", async () => {
  const made = await call<{ jobs: { id: string }[] }>(play.daybook, "POST", "/api/jobs/bulk", { jobs: Array.from({ length: 5 }, () => ({ kind: "old", args: {} })) });
  const ids = made.jobs.map(({ id }) => id);
  const [first = "", second = ""] = ids;
  const list = await play.tab();
  const job = await list.context().newPage();
  const past = await list.context().newPage();
  const { seq } = await call<{ seq: number }>(play.daybook, "GET", "/health");
  const tabs = [list, job, past];
  const asked = tabs.map(record);
  await list.goto("/jobs?state=active");
  await job.goto(`/jobs/${first}`);
  await past.goto(`/jobs?at=${seq}`);
  await seeState(list, second, "queued");
  await job.locator(`main [data-job-id="${first}"]`).waitFor();
  await seeState(past, second, "queued");
  await list.locator(`[data-active-job-id="${second}"]`).waitFor();
  await play.daybook.kill();
  for (const tab of tabs) await connection(tab, "offline");
  for (const one of asked) one.length = 0;
  await play.daybook.start("--reset-on-startup");
  await play.front.to(play.daybook.port);
  for (const tab of tabs) await tab.getByRole("alert").filter({ hasText: "The server began a new log" }).waitFor();
  const fresh = await submit(play.daybook, { kind: "new" });
  await seeState(list, fresh.id, "queued");
  await job.getByText("This job is gone with the old log").waitFor();
  await past.waitForURL((url) => url.search === "");
  await seeState(past, fresh.id, "queued");
  for (const tab of tabs) {
    await tab.locator(`[data-active-job-id="${fresh.id}"]`).waitFor();
    for (const id of ids) expect(await tab.locator(`[data-job-id="${id}"], [data-active-job-id="${id}"], [data-ended-job-id="${id}"]`).count()).toBe(0);
  }
  const stored = await list.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  for (const id of ids) expect(stored).not.toContain(id);
  for (const id of ids) expect(asked.flat().filter((one) => one.includes(id))).toEqual([]);
  expect(asked.flat().filter((one) => /[?&]at=/.test(one))).toEqual([]);
  await list.reload();
  await seeState(list, fresh.id, "queued");
  for (const id of ids) expect(asked.flat().filter((one) => one.includes(id))).toEqual([]);
});

test("a reset while no page was open: ids that were kept are dropped without a question", async () => {
  const job = await submit(play.daybook, { kind: "kept" });
  const page = await play.tab();
  await page.goto("/jobs");
  await page.locator(`[data-active-job-id="${job.id}"]`).waitFor();
  await live(page);
  const context = page.context();
  await page.close();
  await reset();
  const fresh = await submit(play.daybook, { kind: "new" });
  const again = await context.newPage();
  const asked = record(again);
  await again.goto("/jobs");
  await again.locator(`[data-active-job-id="${fresh.id}"]`).waitFor();
  await live(again);
  await expect.poll(() => again.evaluate(() => localStorage.getItem("daybook:strip"))).toContain(fresh.id);
  expect(asked.filter((one) => one.includes(job.id))).toEqual([]);
  expect(await again.evaluate(() => localStorage.getItem("daybook:strip"))).not.toContain(job.id);
});

test("a socket that is blocked does not keep the pages waiting", async () => {
  const job = await submit(play.daybook, { kind: "blocked", args: { question: "six by nine" } });
  const page = await play.tab();
  await page.routeWebSocket("**/api/live", (socket) => socket.close());
  await page.goto(`/jobs/${job.id}`);
  await page.getByText("six by nine").waitFor();
  expect(await pill(page).getAttribute("data-connection")).not.toBe("live");
});

test.each(["light", "dark"] as const)("offline and restarted have no barriers that axe knows of, and fit a phone (%s)", async (theme) => {
  const job = await submit(play.daybook, { kind: "echo" });
  const page = await play.tab({ theme, size: "phone" });
  await page.goto("/jobs");
  await page.locator(`[role=row][data-job-id="${job.id}"][data-state="running"]`).waitFor();
  await live(page);
  await play.daybook.kill();
  await connection(page, "offline");
  expect(await violations(page)).toEqual([]);
  await picture(page, `offline-phone-${theme}`);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  await play.daybook.start();
  await play.front.to(play.daybook.port);
  await said(page, /lost (its|their) runs?/);
  expect(await violations(page)).toEqual([]);
  await picture(page, `restarted-phone-${theme}`);
  letGo();
});
