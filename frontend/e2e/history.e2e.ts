// The page of history: charts and tables of a span, days, what is missing; over made-up numbers, and over real ones.

import type { Page, Route } from "playwright-core";
import { expect, test } from "vitest";
import type { HistoryBody, HistoryBucket, HistorySpan } from "../src/api/types.gen.ts";
import { picture, pill, stage, violations } from "./support/stage.ts";
import { call, submit, Worker } from "./support/worker.ts";

const play = stage();

const SHAPES: Readonly<Record<HistorySpan, readonly [width_s: number, count: number]>> = { "5m": [5, 60], "1h": [60, 60], "24h": [600, 144], "30d": [86_400, 30] };

/** The same wave at each call; a gap in the middle, when nothing ran. */
function history(span: HistorySpan, fields: Partial<HistoryBody> = {}): HistoryBody {
  const [width_s, count] = SHAPES[span];
  const last = Math.floor(Date.now() / 1000 / width_s) * width_s;
  const buckets = Array.from({ length: count }, (_, at): HistoryBucket => {
    const busy = at < count / 3 || at > count / 2;
    const wave = busy ? Math.round(20 + 15 * Math.sin(at / 4)) : 0;
    const times = (base: number) => (busy ? { p50: base, p95: base * (2 + Math.sin(at / 3)), p99: base * (4 + 2 * Math.sin(at / 3)) } : null);
    return {
      from: new Date((last - (count - 1 - at) * width_s) * 1000).toISOString(),
      submitted: wave + (busy ? 3 : 0),
      started: wave,
      completed: wave,
      failed: at % 9 === 0 ? 4 : 0,
      cancelled: at % 13 === 0 ? 2 : 0,
      attempts_failed: at % 9 === 0 ? 9 : at % 4,
      lost: at % 17 === 0 ? 1 : 0,
      wait_s: times(0.004),
      run_s: times(2.4),
    };
  });
  return { span, width_s, buckets, complete: true, earliest: 1, seq: 42, epoch: "e", ...fields };
}

async function fake(page: Page, fields: Partial<HistoryBody> = {}): Promise<void> {
  await page.route("**/api/history?*", async (route: Route) => {
    const span = (new URL(route.request().url()).searchParams.get("span") ?? "1h") as HistorySpan;
    const stats = await route.fetch({ url: `${play.front.url}/api/stats` });
    // With the headers of the server that is asked: answers of another epoch are thrown away.
    await route.fulfill({ status: 200, headers: { "content-type": "application/json", "daybook-epoch": stats.headers()["daybook-epoch"] ?? "" }, body: JSON.stringify(history(span, fields)) });
  });
}

/** How many pixels of a chart are not background. */
const inkOf = (page: Page, title: string): Promise<number> =>
  page.locator(`[data-chart="${title}"] canvas`).evaluate((node) => {
    const canvas = node as HTMLCanvasElement;
    const data = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
    let ink = 0;
    for (let at = 3; at < data.length; at += 4) if ((data[at] ?? 0) > 0) ink += 1;
    return ink;
  });

test("a server without a history is told apart, and its counts are shown", async () => {
  const page = await play.tab();
  await page.route("**/api/history?*", async (route: Route) => {
    const response = await route.fetch({ url: `${play.front.url}/api/nothing-of-the-sort` });
    await route.fulfill({ response });
  });
  await submit(play.daybook, { kind: "resize" });
  await page.goto("/history");
  await page.getByText("This server keeps no history").waitFor();
  await page.locator('[data-count="queued"]', { hasText: "1" }).waitFor();
  await page.locator('[data-rate="submitted"]', { hasText: "/min" }).waitFor();
  await picture(page, "history-old-server");
  expect(await violations(page)).toEqual([]);
});

test("charts are drawn for each span, and their numbers are there as tables", async () => {
  const page = await play.tab();
  await fake(page);
  await page.goto("/history");
  await page.locator('[data-chart="Jobs per minute"] canvas').waitFor();
  for (const title of ["Jobs per minute", "Waited in the queue", "Failures per minute", "Ran"]) expect(await inkOf(page, title), title).toBeGreaterThan(1500);
  expect(await page.locator('[data-chart="Ran"]').getAttribute("aria-label")).toMatch(/p99 at most 14 s/);
  await page.getByRole("button", { name: "24 h" }).click();
  await page.waitForURL("**/history?span=24h");
  await page.locator('[data-chart="Jobs per 10 min"] canvas').waitFor();
  expect(await inkOf(page, "Jobs per 10 min")).toBeGreaterThan(1500);
  await page.getByRole("button", { name: "Tables" }).click();
  await page.waitForURL("**/history?span=24h&view=tables");
  const table = page.getByRole("table", { name: "Ran" });
  expect(await table.getByRole("row").count()).toBe(145);
  await table.getByRole("row").nth(1).getByText("(so far)").waitFor();
  expect(await table.getByRole("cell", { name: "–" }).count()).toBeGreaterThan(30);
  expect(await page.locator("canvas").count()).toBe(0);
  await page.reload();
  await page.getByRole("table", { name: "Ran" }).waitFor();
});

/** The numbers of a table's row, by the heads above them. */
async function rowOf(page: Page, table: string, index: number): Promise<Readonly<Record<string, string>>> {
  const found = page.getByRole("table", { name: table });
  await found.waitFor();
  const heads = await found.getByRole("columnheader").allInnerTexts();
  const row = found.getByRole("row").nth(index);
  const cells = await row.getByRole("cell").allInnerTexts();
  return Object.fromEntries(cells.map((cell, at) => [(heads[at + 1] ?? "").toLowerCase(), cell]));
}

test("jobs that really ran are in the charts and in their day, as the server counts them", async () => {
  const kind = "counted";
  const worker = await Worker.join(play.daybook, "counter", 5, [kind]);
  const day = new Date().toISOString().slice(0, 10);
  for (const fails of [false, false, true]) {
    await submit(play.daybook, { kind, max_attempts: 1 });
    const lease = await worker.take();
    await (fails ? lease.fail("no more ink") : lease.complete({ answer: 42 }));
  }
  const { id } = await submit(play.daybook, { kind });
  await call(play.daybook, "POST", `/api/jobs/${id}/cancel`, {});
  const counted = async (span: HistorySpan): Promise<HistoryBucket | undefined> => (await call<HistoryBody>(play.daybook, "GET", `/api/history?span=${span}`)).buckets.at(-1);
  await expect.poll(async () => (await counted("30d"))?.completed).toBe(2);
  const page = await play.tab();
  await page.goto("/history?span=30d");
  const today = page.locator(`[data-day="${day}"]`);
  await today.waitFor();
  expect(await rowOf(page, "Finished jobs by day", 1)).toMatchObject({ completed: "2", failed: "1", cancelled: "1" });
  expect(await today.getByText("(so far)").count()).toBe(1);
  await page.locator('[data-chart="Ran"] canvas').waitFor();
  for (const title of ["Jobs per day", "Failures per day", "Ran"]) {
    expect(await page.getByRole("region", { name: title }).getByText("nothing in this span").count(), title).toBe(0);
    expect(await inkOf(page, title), title).toBeGreaterThan(1500);
  }
  expect(await page.locator('[data-chart="Jobs per day"]').getAttribute("aria-label")).toMatch(/Completed at most 2, Failed at most 1, Cancelled at most 1/);
  await page.getByRole("button", { name: "Tables" }).click();
  expect(await rowOf(page, "Jobs per day", 1)).toMatchObject({ completed: "2" });
  expect(await rowOf(page, "Failures per day", 1)).toMatchObject({ "jobs failed": "1" });
  expect((await rowOf(page, "Ran", 1)).p50).toMatch(/^[\d.]+ (ms|s)$/);
});

test("the pointer tells the numbers beneath it", async () => {
  const page = await play.tab();
  await fake(page);
  await page.goto("/history");
  const chart = page.locator('[data-chart="Jobs per minute"]');
  await chart.locator("canvas").waitFor();
  await chart.hover({ position: { x: 120, y: 60 } });
  await page.getByRole("region", { name: "Jobs per minute" }).getByText(/^\d\d:\d\d$/).waitFor();
});

test("what is missing in the numbers is said", async () => {
  const page = await play.tab();
  await fake(page, { complete: false, earliest: 5000 });
  await page.goto("/history");
  await page.getByText("the numbers are not complete yet").waitFor();
  await page.getByText("The log begins with event 5000.").waitFor();
});

test("days have their numbers, and lead to the lists", async () => {
  const page = await play.tab();
  await fake(page);
  await page.goto("/history");
  const days = page.getByRole("table", { name: "Finished jobs by day" });
  await days.getByRole("row").nth(1).getByText("(so far)").waitFor();
  expect(await days.getByRole("row").count()).toBeGreaterThan(20);
  await days.getByRole("link", { name: "failed" }).click();
  await page.waitForURL("**/jobs?state=failed");
});

test.each([
  ["desk", "light"],
  ["desk", "dark"],
  ["phone", "light"],
  ["phone", "dark"],
] as const)("no barriers, nothing scrolls sideways: %s, %s", async (size, theme) => {
  const page = await play.tab({ size, theme });
  await fake(page);
  for (const view of ["charts", "tables"]) {
    await page.goto(`/history?view=${view}`);
    await pill(page).waitFor();
    await (view === "charts" ? page.locator("canvas").nth(3) : page.getByRole("table", { name: "Ran" })).waitFor();
    await page.getByRole("table", { name: "Finished jobs by day" }).waitFor();
    await picture(page, `history-${view}-${size}-${theme}`);
    expect(await violations(page), view).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), view).toBe(true);
  }
});
