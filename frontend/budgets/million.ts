// A million jobs on a real server, in the real page: opened, scrolled, walked to the end of what is loaded, filtered,
// searched, selected and looked at in the past, while 200 changes a second come. It says each number, and fails where one
// would feel it.

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterEach, beforeAll, beforeEach, test } from "vitest";
import { stage } from "../e2e/support/stage.ts";
import { call, submit } from "../e2e/support/worker.ts";
import { feel, scroll, type Answer, type Frames } from "./feel.ts";
import { atMost, p95, say, spread, verdict } from "./report.ts";
import { addressOf, fill } from "./server.ts";
import { spent } from "./spent.ts";

const JOBS = Number(process.env.DAYBOOK_JOBS ?? 1_000_000);
const SCROLL_MS = 8_000;
const ENDS = 40;
const CHANGES_PER_S = 200;
const TICK_MS = 100;
/** What one feels as at once. */
const FRAME_MS = 100;
const ROWS_MS = 800;
const P95_MS = 25;
const OVER_33 = 1;
const TASK_MS = 100;
/** Of the processor, whatever else the machine does: half of a frame for the page, the rest for drawing it. */
const COMPUTED_MS = 8.3;
const COMPUTED_TASK_MS = 33;

// What ended is kept: nothing goes while one looks.
const play = stage({ config: '[retention]\nfinished_count = 2000000\n' });
let page: Page;
let address: string;
let busy: ReturnType<typeof setInterval> | undefined;

const grid = () => page.getByRole("grid", { name: "Jobs" });
const rowThere = (state: string): string => `[role=row][data-state="${state}"]`;

function sizeOf(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, one) => sum + (one.isDirectory() ? sizeOf(join(folder, one.name)) : statSync(join(folder, one.name)).size), 0);
}

beforeAll(async () => {
  const marked = await submit(play.daybook, { kind: "the-oldest", args: { words: "a needle in the hay" } });
  const took = await fill(play.daybook, JOBS, false);
  // Some that ended.
  for (let n = 0; n < 2; n++) await call(play.daybook, "POST", "/api/jobs/actions", { action: "cancel", filter: { tag: "unwanted", state: ["queued"] }, dry_run: false });
  say("jobs on the server", `${JOBS.toLocaleString("en")} by bulk in ${(took / 1000).toFixed(1)} s, ${Math.round(JOBS / (took / 1000)).toLocaleString("en")} a second; ${(sizeOf(join(play.daybook.folder, "data")) / 1e6).toFixed(0)} MB on the disk`);
  say("the oldest", marked.id);
  address = await addressOf(play);
});

beforeEach(async () => {
  page = await play.tab();
  await change(CHANGES_PER_S);
});

afterEach(() => clearInterval(busy));

/** So many changes a second: jobs that nobody looks for change their priority, two in three of them among the newest. */
async function change(perSecond: number): Promise<void> {
  const { jobs } = await call<{ jobs: readonly { id: string }[] }>(play.daybook, "GET", "/api/jobs?state=queued&limit=300");
  const { jobs: others } = await call<{ jobs: readonly { id: string }[] }>(play.daybook, "GET", "/api/jobs?state=queued&kind=kind-3&limit=500");
  const ids = [...jobs, ...others].map(({ id }) => id);
  let at = 0;
  clearInterval(busy);
  busy = setInterval(() => {
    for (let n = 0; n < (perSecond * TICK_MS) / 1000; n++) {
      at += 1;
      const id = at % 3 === 0 ? ids[300 + (at % 500)] : ids[at % 300];
      void call(play.daybook, "PATCH", `/api/jobs/${id}`, { priority: at % 100 }).catch(() => {});
    }
  }, TICK_MS);
}

async function judge(name: string, px: number): Promise<void> {
  const [found, { tasks, total }] = await spent(page, () => scroll(page, px, SCROLL_MS));
  atMost(`${name}: computed a frame`, total / found.count, COMPUTED_MS, "ms", "the main thread, by the processor's clock");
  atMost(`${name}: the longest task computed`, Math.max(...tasks), COMPUTED_TASK_MS, "ms");
  judgeFrames(name, found);
}

function judgeFrames(name: string, found: Frames): void {
  atMost(`${name}: a frame, p95`, found.p95, P95_MS, "ms", `${found.count} frames, p50 ${found.p50.toFixed(1)}, most ${found.most.toFixed(1)}; rows not there yet in ${(found.gaps * 100).toFixed(1)} % of them`);
  atMost(`${name}: frames over 33 ms`, found.over33 * 100, OVER_33, "%");
  atMost(`${name}: the longest task`, found.longestTask, TASK_MS, "ms");
}

function judgeAnswers(name: string, answers: readonly Answer[]): void {
  const of = (field: keyof Answer): number[] => answers.map((one) => one[field]);
  atMost(`${name}: until the next frame, p95`, p95(of("frame")), FRAME_MS, "ms", spread(of("frame"), "ms"));
  atMost(`${name}: until its rows are there, p95`, p95(of("there")), ROWS_MS, "ms", spread(of("there"), "ms"));
}

async function opened(path = "/jobs"): Promise<number> {
  const began = performance.now();
  await page.goto(address + path);
  await grid().locator("[data-job-id]").first().waitFor();
  return performance.now() - began;
}

/** `End` again and again: each time the last row of what is loaded, and the next page comes. */
async function ends(): Promise<number[]> {
  await page.bringToFront();
  await grid().locator("[data-job-id]").first().waitFor();
  await page.keyboard.press("j");
  const times: number[] = [];
  for (let n = 0; n < ENDS; n++) {
    const before = await grid().locator("[role=rowgroup]").evaluate((node) => node.clientHeight);
    const began = performance.now();
    await page.keyboard.press("End");
    await page.waitForFunction((height) => (document.querySelector("[role=grid] [role=rowgroup]")?.clientHeight ?? 0) > height, before, { polling: "raf" });
    times.push(performance.now() - began);
  }
  return times;
}

async function loaded(): Promise<number> {
  return Math.round((await grid().locator("[role=rowgroup]").evaluate((node) => node.clientHeight)) / 36);
}

/** To a place by hand, as one drags the bar: until the rows there are there. */
async function jump(part: number): Promise<number> {
  return page.evaluate(async (share) => {
    const node = document.querySelector("[role=grid]")?.parentElement as HTMLElement;
    const began = performance.now();
    node.scrollTop = (node.scrollHeight - node.clientHeight) * share;
    for (;;) {
      await new Promise((done) => requestAnimationFrame(done));
      const box = node.getBoundingClientRect();
      const rows = [0.2, 0.5, 0.8].map((at) => document.elementFromPoint(box.left + box.width / 2, box.top + box.height * at)?.closest("[data-job-id]"));
      if (rows.every((row) => row != null)) return performance.now() - began;
      if (performance.now() - began > 30_000) throw new Error("the rows did not come");
    }
  }, part);
}

test("a million jobs are opened, scrolled and walked through without a hiccup", async () => {
  say("opened: rows are there", spread([await opened(), await opened(), await opened()], "ms"));
  await page.locator('[data-connection="live"]').waitFor();
  await judge("at the top, 200 changes/s, still", 0);
  await judge("scrolled 90 px a frame, pages coming", 90);
  const times = await ends();
  atMost("End until the next page is there, p95", p95(times), ROWS_MS, "ms", spread(times, "ms"));
  say("rows in the list", (await loaded()).toLocaleString("en"));
  await judge("scrolled back up", -90);
  const jumps = [];
  for (const part of [0, 0.5, 1, 0.25, 0.75, 0]) jumps.push(await jump(part));
  atMost("a jump until the rows are there, p95", p95(jumps), ROWS_MS, "ms", spread(jumps, "ms"));
  const heap = await page.evaluate(() => (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize);
  atMost("heap of the page", heap / 1e6, 80, "MB");
  verdict();
});

test("states, kinds, queues, tags and texts are filtered at once", async () => {
  await opened();
  await page.locator('[data-connection="live"]').waitFor();
  const states: Answer[] = [];
  for (let n = 0; n < 8; n++) {
    states.push(await feel(page, { press: "cancelled", there: rowThere("cancelled"), gone: rowThere("queued") }));
    states.push(await feel(page, { press: "queued", there: rowThere("queued"), gone: rowThere("cancelled") }));
  }
  judgeAnswers("a filter of states", states);
  const filters: number[] = [];
  for (const search of ["?kind=kind-3", "?queue=queue-1", "?tag=tag-7", "?kind=kind-3&queue=queue-1", "?state=queued&kind=kind-3&queue=queue-1&tag=tag-7", "?state=cancelled&tag=unwanted", "?state=active&q=lighthouse"]) {
    await opened(`/jobs${search}`);
    const rest = await opened(`/jobs${search}`);
    filters.push(rest);
    say(`opened with ${search}`, `${rest.toFixed(0)} ms`);
  }
  atMost("opened with a filter, most", Math.max(...filters), ROWS_MS, "ms", spread(filters, "ms"));
  verdict();
});

test("a needle is found in all the hay, and the page goes on meanwhile", async () => {
  await opened();
  const began = performance.now();
  await page.goto(`${address}/jobs?q=needle`);
  const frames = await Promise.all([scrollNothing(), page.locator('[data-job-id] >> text="the-oldest"').first().waitFor({ timeout: 300_000 })]);
  say("the oldest of all by its text", `found after ${((performance.now() - began) / 1000).toFixed(1)} s of reading, in pages of 10,000`);
  atMost("meanwhile: the longest task", frames[0], TASK_MS, "ms");
  verdict();
});

/** Longest task while something else is waited for. */
async function scrollNothing(): Promise<number> {
  return page.evaluate(async () => {
    let longest = 0;
    const observer = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
    });
    observer.observe({ type: "longtask" });
    await new Promise((done) => setTimeout(done, 3_000));
    observer.disconnect();
    return longest;
  });
}

test("all that match are looked at before they are changed, and the past is there", async () => {
  await opened("/jobs?tag=tag-7");
  await page.getByRole("checkbox", { name: "Select all that are loaded" }).click();
  await page.getByRole("button", { name: /^Select all/ }).click();
  const began = performance.now();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("dialog").getByText(/would be cancelled/).waitFor();
  atMost("all that match: until it says what would change", performance.now() - began, 2_000, "ms");
  await page.keyboard.press("Escape");
  const { seq } = await call<{ seq: number }>(play.daybook, "GET", "/health");
  const past: number[] = [];
  for (const part of [0.9, 0.5, 0.1, 0.5]) past.push(await opened(`/jobs?at=${Math.round(seq * part)}`));
  say("opened in the past", `${past.map((one) => one.toFixed(0)).join(", ")} ms, at 9, 5, 1 and again 5 tenths of ${seq.toLocaleString("en")} events`);
  verdict();
});
