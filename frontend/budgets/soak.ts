// A page that is left open: half an hour at 200 changes a second, most of them jobs that come, move and end. What it holds
// in memory stays within its bound and does not grow. It fails where that is not so.

import type { CDPSession } from "playwright-core";
import { test } from "vitest";
import { stage } from "../e2e/support/stage.ts";
import { call } from "../e2e/support/worker.ts";
import { atLeast, atMost, median, say, verdict } from "./report.ts";
import { addressOf } from "./server.ts";

/** Half an hour, or DAYBOOK_SOAK_S. */
const SOAK_S = Number(process.env.DAYBOOK_SOAK_S ?? 1_800);
const CHANGES_PER_S = 200;
const TICK_MS = 500;
const SAMPLES = 30;
const HEAP_MB = 80;
const GROWTH = 10;

const play = stage({ config: "[retention]\nfinished_count = 20000\nevery_s = 5\n" });

/** A third submits, a third moves, a third ends: the list, its counts and the strip never rest. */
async function round(count: number): Promise<number> {
  const jobs = Array.from({ length: count }, (_, at) => ({ kind: `kind-${at % 7}`, args: { at }, tags: [`tag-${at % 5}`] }));
  const { jobs: made } = await call<{ jobs: readonly { id: string }[] }>(play.daybook, "POST", "/api/jobs/bulk", { jobs });
  await Promise.all(made.map(({ id }, at) => call(play.daybook, "PATCH", `/api/jobs/${id}`, { priority: (at % 200) - 100 })));
  await call(play.daybook, "POST", "/api/jobs/actions", { action: "cancel", filter: {}, ids: made.map(({ id }) => id), dry_run: false });
  return made.length * 3;
}

/** What is left after it was cleared up, in MB. */
async function heapOf(session: CDPSession): Promise<number> {
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  return usedSize / 1e6;
}

test(`${SOAK_S} s at ${CHANGES_PER_S} changes a second`, { timeout: (SOAK_S + 120) * 1000 }, async () => {
  const page = await play.tab();
  await page.goto(`${await addressOf(play)}/jobs`);
  await page.locator('[data-connection="live"]').waitFor();
  const session = await page.context().newCDPSession(page);
  const began = performance.now();
  const seconds = (): number => (performance.now() - began) / 1000;
  const heaps: number[] = [];
  let changes = 0;
  while (seconds() < SOAK_S) {
    const next = performance.now() + TICK_MS;
    changes += await round(Math.ceil((CHANGES_PER_S * TICK_MS) / 1000 / 3));
    if (seconds() >= ((heaps.length + 1) * SOAK_S) / SAMPLES) {
      heaps.push(await heapOf(session));
      say(`after ${Math.round(seconds())} s`, `${heaps.at(-1)?.toFixed(1)} MB, ${changes.toLocaleString("en")} changes`);
    }
    await page.waitForTimeout(Math.max(0, next - performance.now()));
  }
  const third = Math.floor(heaps.length / 3);
  const [middle, last] = [median(heaps.slice(third, 2 * third)), median(heaps.slice(-third))];
  atLeast("changes a second", changes / seconds(), CHANGES_PER_S * 0.9, "a second");
  atMost("heap of the page, most", Math.max(...heaps), HEAP_MB, "MB");
  atMost("growth from the second third to the last", (last / middle - 1) * 100, GROWTH, "%", `median ${middle.toFixed(1)} and ${last.toFixed(1)} MB`);
  await page.locator('[data-connection="live"]').waitFor();
  verdict();
});
