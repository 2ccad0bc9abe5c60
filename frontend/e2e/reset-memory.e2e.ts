// After a reset not only the page, but its memory has nothing of the log that is no more: stores, query cache, drawn parts.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { stage } from "./support/stage.ts";
import { submit } from "./support/worker.ts";

const play = stage();

/** How often a text is in the page's memory, without what nothing holds any more. */
async function remembered(page: Page, text: string): Promise<number> {
  const devtools = await page.context().newCDPSession(page);
  const chunks: string[] = [];
  devtools.on("HeapProfiler.addHeapSnapshotChunk", ({ chunk }) => chunks.push(chunk));
  await devtools.send("HeapProfiler.collectGarbage");
  await devtools.send("HeapProfiler.takeHeapSnapshot", { reportProgress: false });
  await devtools.detach();
  return chunks.join("").split(text).length - 1;
}

test("arguments and tags of jobs that vanished are nowhere in the page's memory", async () => {
  const marker = `marker-${crypto.randomUUID()}`;
  const job = await submit(play.daybook, { kind: "old", tags: [marker], args: { text: `${marker} in its arguments` } });
  const page = await play.tab();
  await page.goto("/jobs");
  await page.locator(`[role=row][data-job-id="${job.id}"]`).click();
  await page.getByText(`${marker} in its arguments`).first().waitFor();
  await page.getByRole("link", { name: "Jobs", exact: true }).click();
  await page.locator(`[role=row][data-job-id="${job.id}"]`).waitFor();
  expect(await remembered(page, marker)).toBeGreaterThan(1);
  await play.restart("--reset-on-startup");
  await page.getByRole("alert").filter({ hasText: "The server began a new log" }).waitFor();
  const fresh = await submit(play.daybook, { kind: "new" });
  await page.locator(`[role=row][data-job-id="${fresh.id}"]`).waitFor();
  // What was drawn last is kept until something else is drawn twice.
  await page.getByRole("link", { name: "Queues" }).click();
  await page.getByRole("heading", { name: "Queues" }).waitFor();
  await expect.poll(() => remembered(page, marker), { timeout: 30_000 }).toBe(0);
});
