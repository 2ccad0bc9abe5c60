// Signs that a page is past a point: what must not come would have come before them. A test that says "it is not there"
// waits for one of these first.

import type { Page } from "playwright-core";
import { expect } from "vitest";
import type { Daybook } from "./daybook.ts";
import { row } from "./stage.ts";
import { call, submit } from "./worker.ts";

/** The ids that the strip keeps: what it shows as active or ended, and what it still has to ask for. */
export async function keptBy(page: Page): Promise<readonly string[]> {
  const text = await page.evaluate(() => localStorage.getItem("daybook:strip"));
  return text === null ? [] : (JSON.parse(text) as { ids: readonly string[] }).ids;
}

/** A job is submitted, shown in the strip and kept, and goes again. Before the strip has decided about what it kept
 *  earlier it keeps nothing new. */
export async function stripGoesOn(page: Page, daybook: Daybook): Promise<void> {
  const { id } = await submit(daybook, { kind: "sign", queue: "signs", priority: -100 });
  const chip = page.locator(`[data-active-job-id="${id}"]`);
  await chip.waitFor();
  await expect.poll(() => keptBy(page)).toContain(id);
  await call(daybook, "POST", `/api/jobs/${id}/cancel`, {});
  await chip.waitFor({ state: "detached" });
}

/** The list shows a job that came after all that happened so far, and its end. */
export async function listGoesOn(page: Page, daybook: Daybook, kind = "sign"): Promise<void> {
  const { id } = await submit(daybook, { kind, queue: "signs", priority: -100 });
  await row(page, id).waitFor();
  await call(daybook, "POST", `/api/jobs/${id}/cancel`, {});
  await page.locator(`[role=row][data-job-id="${id}"][data-state="cancelled"]`).waitFor();
}
