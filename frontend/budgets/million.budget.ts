// The list over 1,000,000 jobs on a real server: first rows, filters, scrolling through tens of thousands of rows while
// 200 changes a second happen, jumping about in them, searching.

import type { Page } from "playwright-core";
import { beforeAll, test } from "vitest";
import { stage } from "../e2e/support/stage.ts";
import { call, submit } from "../e2e/support/worker.ts";
import { chooseState, jumpTo, readOn, rowsOfList, scrollFrames, type PageFrames } from "./in-page.ts";
import { atLeast, atMost, median, p95, say, spread, verdict } from "./report.ts";
import { addressOf, fill } from "./server.ts";

const JOBS = Number(process.env.DAYBOOK_JOBS ?? 1_000_000);
const READ_ROWS = Math.min(50_000, JOBS / 2);
const CHANGES_PER_S = 200;
const PHASE_MS = 8_000;
const STATES = ["cancelled", "queued", "all"];
const PARTS = [0.9, 0.1, 0.5, 0.02, 0.97, 0.4, 0.6, 0];
// Otherwise the cancelled ones would be forgotten while one looks.
const play = stage({ config: "[retention]\nfinished_count = 10000000\n" });

beforeAll(async () => {
  const took = await fill(play.daybook, JOBS);
  say("jobs on the server", `${JOBS.toLocaleString("en")}, submitted in ${(took / 1000).toFixed(1)} s: ${Math.round(JOBS / (took / 1000)).toLocaleString("en")} a second`);
});

/** Jobs come and go on the server, so many events a second, until it is told to end. */
async function traffic(over: () => boolean): Promise<number> {
  const began = performance.now();
  let changes = 0;
  while (!over()) {
    const due = ((performance.now() - began) / 1000) * CHANGES_PER_S - changes;
    if (due < 2) await new Promise((later) => setTimeout(later, 5));
    else {
      const { id } = await submit(play.daybook, { kind: "traffic", priority: -100 });
      await call(play.daybook, "POST", `/api/jobs/${id}/cancel`, {});
      changes += 2;
    }
  }
  return changes / ((performance.now() - began) / 1000);
}

async function open(): Promise<Page> {
  const page = await play.tab();
  await page.goto(`${await addressOf(play)}/jobs`);
  await page.locator("[role=row][data-job-id]").first().waitFor();
  await page.locator('[data-connection="live"]').waitFor();
  return page;
}

const words = ({ frames, seconds, p50, p99, most }: PageFrames): string => `${(frames / seconds).toFixed(1)} a second, p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, most ${most.toFixed(1)}`;

function judge(name: string, found: PageFrames): void {
  atMost(`${name}: a frame, p95`, found.p95, 25, "ms", words(found));
  atLeast(`${name}: frames a second`, found.frames / found.seconds, 50, "fps", `over 33 ms ${(found.over33 * 100).toFixed(1)} %`);
}

test("a state is chosen, a name, a text", async () => {
  const page = await open();
  const paints: number[] = [];
  const rows: number[] = [];
  for (let n = 0; n < 5; n++) {
    for (const state of STATES) {
      const found = await page.evaluate(chooseState, state);
      paints.push(found.paint);
      rows.push(found.rows);
    }
  }
  atMost("a state is chosen: painted, p95", p95(paints), 100, "ms", spread(paints));
  atMost("a state is chosen: its rows are there, p95", p95(rows), 800, "ms", spread(rows));
  const named: number[] = [];
  for (const [label, value] of [["kind", "kind-3"], ["queue", "queue-1"], ["tag", "tag-7"], ["q", "lighthouse"]] as const) {
    const began = performance.now();
    await page.goto(`${await addressOf(play)}/jobs?${label}=${value}`);
    await page.locator("[role=row][data-job-id]").first().waitFor();
    named.push(performance.now() - began);
  }
  say("opened with kind, queue, tag, text", named.map((one) => `${one.toFixed(0)} ms`).join(", "));
  atMost("opened with a filter: rows are there", Math.max(...named), 2_000, "ms");
  verdict();
});

test("scrolled, read on, jumped about in", async () => {
  const page = await open();
  judge("scrolled at the top, nothing happens", await page.evaluate(scrollFrames, [PHASE_MS, 90] as const));
  const took = await page.evaluate(readOn, READ_ROWS);
  const there = await page.evaluate(rowsOfList);
  say("read on to the end of what is loaded", `${there.toLocaleString("en")} rows in ${took.toFixed(1)} s: ${(there / took).toFixed(0)} a second`);
  if (there < READ_ROWS) throw new Error(`only ${there} rows came`);
  const jumps: number[] = [];
  for (const part of PARTS) jumps.push(await page.evaluate(jumpTo, part));
  atMost("a jump: all rows in view are there", median(jumps), 300, "ms", spread(jumps));
  let over = false;
  const busy = traffic(() => over);
  judge("200 changes/s, scrolled at the top", await page.evaluate(scrollFrames, [PHASE_MS, 90] as const));
  await page.evaluate(jumpTo, 0.5);
  judge("200 changes/s, scrolled in the middle", await page.evaluate(scrollFrames, [PHASE_MS, 90] as const));
  over = true;
  say("changes a second that really happened", (await busy).toFixed(0));
  const heap = await page.evaluate(() => (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize);
  atMost("heap", heap / 1e6, 80, "MB");
  verdict();
});
