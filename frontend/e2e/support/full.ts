// A server full of long things: names that do not break, a job with all there is to a job, failures, a schedule.

import type { Page } from "playwright-core";
import type { Daybook } from "./daybook.ts";
import { call, submit, Worker } from "./worker.ts";

const LONG = "a-name-that-is-quite-long.and-goes-on:without-any-place-to-break-it-at-all-until-its-end";
/** Workers here do not beat: their leases last. */
export const FULL_CONFIG = `lease_s = 600\n[kinds."${LONG}"]\n[[schedules]]\nname = "${LONG}"\ncron = "30 2 * * MON-FRI"\ntime_zone = "America/Argentina/Buenos_Aires"\njob = { kind = "${LONG}", args = { folder = "/a/folder/with/a/long/path" } }\n`;

export const PAGES = ["/jobs", "/jobs?state=failed&kind=none&tag=red&q=nothing", "/submit", "/queues", "/workers", "/schedules", "/history", "/history?view=tables", "/nowhere"];
export const TABS = ["overview", "items", "log", "timeline", "tree"];

export interface Full {
  readonly job: string;
  /** Of the last event. */
  readonly seq: number;
}

export async function fill(daybook: Daybook): Promise<Full> {
  const worker = await Worker.join(daybook, `worker ${LONG}`, 4, [LONG]);
  const items = Array.from({ length: 5 }, (_, n) => ({ key: `${LONG}-${n}` }));
  const { id: job } = await submit(daybook, { kind: LONG, queue: LONG, tags: ["red", LONG], items, args: { text: LONG.repeat(5) }, priority: 100 });
  await submit(daybook, { kind: LONG, queue: LONG, max_attempts: 1 });
  await submit(daybook, { kind: LONG, queue: LONG, delay_s: 3600, tags: [LONG] });
  const lease = await worker.take();
  await lease.items({ key: items[0]?.key, state: "failed", error: { code: "broken", message: LONG.repeat(3) } });
  await lease.tell({ percent: 42, stage: LONG, message: LONG, done: 2, total: 5 });
  await lease.log(LONG.repeat(4), "a short one");
  await (await worker.take()).fail(LONG.repeat(4));
  const { seq } = await call<{ seq: number }>(daybook, "GET", "/health");
  return { job, seq };
}

/** Opens a page, and waits until all of it is there. */
export async function openFull(page: Page, path: string, { job }: Full): Promise<void> {
  await page.goto(path);
  await page.locator('[data-connection="live"]').waitFor();
  await page.locator(`[data-active-job-id="${job}"], [aria-label="Active jobs"] button`).first().waitFor();
  await page.getByRole("main").getByRole("heading").or(page.getByText("There is no such page")).first().waitFor();
  await page.waitForFunction(() => document.querySelector('main [aria-busy="true"], main [role="progressbar"][aria-label^="Loading"]') === null);
}
