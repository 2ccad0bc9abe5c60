// A line that is cut for two seconds, twenty times, while jobs are submitted and cancelled: how long from the mended line
// until the list is right, and whether a row is missing, twice there, or in another state than on the server.

import type { Page } from "playwright-core";
import { beforeAll, test } from "vitest";
import type { JobList } from "../src/api/types.gen.ts";
import { stage, SIZES } from "../e2e/support/stage.ts";
import { call, submit } from "../e2e/support/worker.ts";
import { atMost, p95, say, spread, verdict } from "./report.ts";
import { fill } from "./server.ts";

const TIMES = 20;
const CUT_MS = 2_000;
const EACH_MS = 100;
const KIND = "cut";
const play = stage();

beforeAll(async () => {
  await fill(play.daybook, 10_000);
});

/** Jobs are submitted, and every second one is cancelled, until it is told to end. Gives the last of them. */
async function traffic(over: () => boolean): Promise<string> {
  let last = "";
  for (let n = 0; !over() || last === ""; n++) {
    last = (await submit(play.daybook, { kind: KIND, args: { n } })).id;
    if (n % 2 === 0) await call(play.daybook, "POST", `/api/jobs/${last}/cancel`, {});
    await new Promise((later) => setTimeout(later, EACH_MS));
  }
  return last;
}

/** Every row of the list, drawn at once in a window as high as it is. */
async function drawn(page: Page, count: number): Promise<string[]> {
  await page.setViewportSize({ width: 1280, height: 400 + count * 36 });
  await page.waitForFunction((least) => document.querySelectorAll("[role=row][data-job-id]").length >= least, count, { timeout: 3_000 }).catch(() => {});
  const rows = await page.locator("[role=row][data-job-id]").evaluateAll((nodes) => nodes.map((node) => `${(node as HTMLElement).dataset.jobId} ${(node as HTMLElement).dataset.state}`));
  await page.setViewportSize(SIZES.desk);
  return rows;
}

/** Of the newest 400: what the list shows against what the server has. */
async function compare(page: Page): Promise<{ lost: number; doubled: number }> {
  const { jobs } = await call<JobList>(play.daybook, "GET", `/api/jobs?kind=${KIND}&limit=400`);
  const rows = await drawn(page, jobs.length);
  const shown = new Set(rows);
  return { lost: jobs.filter(({ id, state }) => !shown.has(`${id} ${state}`)).length, doubled: rows.length - new Set(rows.map((row) => row.split(" ")[0])).size };
}

test("from a mended line to a list that is right", async () => {
  const page = await play.tab();
  await page.goto(`/jobs?kind=${KIND}`);
  await page.locator('[data-connection="live"]').waitFor();
  const resumed: number[] = [];
  let lost = 0;
  let doubled = 0;
  for (let n = 0; n < TIMES; n++) {
    let over = false;
    const working = traffic(() => over);
    play.front.cut();
    await new Promise((later) => setTimeout(later, CUT_MS));
    over = true;
    const last = await working;
    const mended = performance.now();
    play.front.mend();
    await page.locator(`[role=row][data-job-id="${last}"]`).waitFor();
    await page.locator('[data-connection="live"]').waitFor();
    resumed.push(performance.now() - mended);
    const found = await compare(page);
    lost += found.lost;
    doubled += found.doubled;
  }
  say("counted", "from the mended line until the last job is in the list and the pill says live");
  atMost("resume after a cut of 2 s, p95", p95(resumed) / 1000, 3.5, "s", spread(resumed));
  atMost("rows missing, or in another state", lost, 0, "rows");
  atMost("rows that are there twice", doubled, 0, "rows");
  verdict();
});
