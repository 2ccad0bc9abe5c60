// The strip of active jobs: the same everywhere, true after a refresh, and what ended while nobody looked.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { record } from "./support/record.ts";
import { keptBy, stripGoesOn } from "./support/settled.ts";
import { picture, stage, violations } from "./support/stage.ts";
import { call, submit, Worker } from "./support/worker.ts";

const play = stage();
const strip = (page: Page) => page.getByRole("region", { name: "Active jobs" });
const active = (page: Page, id: string) => page.locator(`[data-active-job-id="${id}"]`);
const ended = (page: Page, id: string) => page.locator(`[data-ended-job-id="${id}"]`);
const live = (page: Page) => page.locator('[data-connection="live"]').waitFor();

/** What a page asked for about one job: it does so only for those that nobody saw end. */
const about = (asked: readonly string[], id: string): string[] => asked.filter((one) => one.startsWith("GET") && one.includes(`/api/jobs/${id}`));

/** The strip has decided about all that was kept, and this job is not among what it shows or asks for. */
async function nothingKept(page: Page, id: string): Promise<void> {
  await stripGoesOn(page, play.daybook);
  await expect.poll(() => keptBy(page)).not.toContain(id);
}

/** As when another tab is in front: browsers without a window do not tell by themselves. */
async function hide(page: Page, hidden: boolean): Promise<void> {
  await page.evaluate((now) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => now });
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => (now ? "hidden" : "visible") });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
}

/** Takes jobs until it is this one. */
async function take(worker: Worker, id: string) {
  for (;;) {
    const lease = await worker.take();
    if (lease.id === id) return lease;
  }
}

test("it is the same on every page and after a refresh, and the server clears it", async () => {
  const job = await submit(play.daybook, { kind: "strip", priority: 50 });
  const page = await play.tab();
  for (const path of [`/jobs/${job.id}`, "/jobs", "/queues", "/workers"]) {
    await page.goto(path);
    await active(page, job.id).waitFor();
  }
  const worker = await Worker.join(play.daybook);
  const lease = await take(worker, job.id);
  await page.locator(`[data-active-job-id="${job.id}"][data-state="running"]`).waitFor();
  await lease.progress(40, "nearly there");
  await active(page, job.id).getByText("nearly there").waitFor();
  await page.reload();
  await active(page, job.id).getByText("40 %").waitFor();
  await live(page);
  const asked = record(page);
  await lease.complete({ answer: 42 });
  await active(page, job.id).waitFor({ state: "detached" });
  await stripGoesOn(page, play.daybook);
  expect(about(asked, job.id)).toEqual([]);
  expect(await ended(page, job.id).count()).toBe(0);
  await page.reload();
  await nothingKept(page, job.id);
  expect(await ended(page, job.id).count()).toBe(0);
});

test("a job that ended while the page was closed shows its result until it is dismissed, in all tabs", async () => {
  const job = await submit(play.daybook, { kind: "away", priority: 50 });
  const page = await play.tab();
  await page.goto("/jobs");
  await active(page, job.id).waitFor();
  const context = page.context();
  await page.close();
  const worker = await Worker.join(play.daybook);
  await (await take(worker, job.id)).complete({ answer: 42 });
  const again = await context.newPage();
  const other = await context.newPage();
  await again.goto("/queues");
  await ended(again, job.id).getByText('{"answer":42}').waitFor();
  await other.goto("/jobs");
  await ended(other, job.id).waitFor();
  await again.reload();
  await ended(again, job.id).waitFor();
  await again.getByRole("button", { name: /^Dismiss away/ }).click();
  await ended(again, job.id).waitFor({ state: "detached" });
  await ended(other, job.id).waitFor({ state: "detached" });
  await other.close();
  await again.reload();
  await nothingKept(again, job.id);
  expect(await ended(again, job.id).count()).toBe(0);
});

test("a job that ended while the page was hidden, or the line cut, is shown as well", async () => {
  const [first, second] = [await submit(play.daybook, { kind: "hidden", priority: 50 }), await submit(play.daybook, { kind: "cut", priority: 50 })];
  const page = await play.tab();
  await page.goto("/jobs");
  await active(page, second.id).waitFor();
  await active(page, first.id).waitFor();
  await live(page);
  const worker = await Worker.join(play.daybook);
  await hide(page, true);
  await (await take(worker, first.id)).fail("the disk is full");
  await ended(page, first.id).getByText("the disk is full").waitFor();
  await hide(page, false);
  play.front.cut();
  await page.locator('[data-connection="offline"]').waitFor();
  await (await take(worker, second.id)).complete("made it");
  play.front.mend();
  await ended(page, second.id).getByText("made it").waitFor();
  await page.getByRole("button", { name: "Dismiss all" }).click();
  await strip(page).locator("[data-ended-job-id]").first().waitFor({ state: "detached" });
});

test("two tabs: what one of them saw end, none needs to tell", async () => {
  const job = await submit(play.daybook, { kind: "twice", priority: 50 });
  const page = await play.tab();
  await page.goto("/jobs");
  await active(page, job.id).waitFor();
  await live(page);
  const other = await page.context().newPage();
  await other.goto("/jobs");
  await active(other, job.id).waitFor();
  await hide(other, true);
  await page.bringToFront();
  await hide(page, false);
  const asked = record(page);
  const worker = await Worker.join(play.daybook);
  await (await take(worker, job.id)).complete(1);
  await active(page, job.id).waitFor({ state: "detached" });
  await active(other, job.id).waitFor({ state: "detached" });
  await stripGoesOn(other, play.daybook);
  await ended(other, job.id).waitFor({ state: "detached" });
  await other.close();
  await stripGoesOn(page, play.daybook);
  expect(about(asked, job.id)).toEqual([]);
  expect(await ended(page, job.id).count()).toBe(0);
});

test("a job is cancelled from the strip, by the keyboard", async () => {
  const job = await submit(play.daybook, { kind: "unwanted", priority: -50 });
  const page = await play.tab();
  await page.goto("/jobs");
  await active(page, job.id).getByRole("button", { name: /^Cancel unwanted/ }).focus();
  await page.keyboard.press("Enter");
  await active(page, job.id).waitFor({ state: "detached" });
  await page.locator(`[role=row][data-job-id="${job.id}"][data-state="cancelled"]`).waitFor();
});

test("it shows the newest, and how many there are besides; it fills up again when these end", async () => {
  const jobs = Array.from({ length: 45 }, (_, n) => ({ kind: "many", args: { n }, priority: -10 }));
  const made = await call<{ jobs: { id: string }[] }>(play.daybook, "POST", "/api/jobs/bulk", { jobs });
  const page = await play.tab();
  await page.goto("/jobs");
  await strip(page).getByText("and 25 more").waitFor();
  expect(await strip(page).getByRole("listitem").count()).toBe(20);
  await strip(page).getByText("and 25 more").click();
  await page.waitForURL("**/jobs?state=active");
  for (const { id } of made.jobs.slice(20)) await call(play.daybook, "POST", `/api/jobs/${id}/cancel`, {});
  await strip(page).getByText(/more/).waitFor({ state: "detached" });
  await expect.poll(() => strip(page).getByRole("listitem").count()).toBe(20);
});

test.each(["light", "dark"] as const)("it has no barriers that axe knows of, and fits a phone (%s)", async (theme) => {
  const jobs = [await submit(play.daybook, { kind: "running-for-a-very-long-time-indeed", priority: 90 }), await submit(play.daybook, { kind: "seen", priority: 90 })];
  const page = await play.tab({ theme });
  await page.goto("/jobs");
  await active(page, jobs[1]?.id ?? "").waitFor();
  const worker = await Worker.join(play.daybook);
  const [first, second] = [await worker.take(), await worker.take()];
  await hide(page, true);
  await first.progress(62, "frame 310 of 500, which is quite some way");
  await second.fail("a rather long error message that goes on and on until it cannot be read in one line any more");
  await strip(page).locator("[data-ended-job-id]").first().waitFor();
  await hide(page, false);
  expect(await violations(page)).toEqual([]);
  await picture(page, `strip-desk-${theme}`);
  await page.setViewportSize({ width: 360, height: 740 });
  const summary = strip(page).getByRole("button", { name: /active/ });
  await summary.waitFor();
  await picture(page, `strip-phone-${theme}`);
  await summary.click();
  await strip(page).getByRole("listitem").first().waitFor();
  expect(await violations(page)).toEqual([]);
  await picture(page, `strip-phone-open-${theme}`);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  await first.complete(null);
});
