// Many jobs at once: chosen, looked at before, cancelled or retried; filters as chips; new jobs that wait behind a bar.

import { expect, test } from "vitest";
import type { JobList } from "../src/api/types.gen.ts";
import { atRest, inView, scrollerOf, scrollTo } from "./support/rest.ts";
import { picture, row, seeState, stage, violations } from "./support/stage.ts";
import { call, submit, Worker } from "./support/worker.ts";

const play = stage();
const bulk = (jobs: readonly object[]) => call(play.daybook, "POST", "/api/jobs/bulk", { jobs });
const of = (kind: string, count: number, rest: object = {}) => Array.from({ length: count }, () => ({ kind, args: {}, ...rest }));

test("selected jobs are cancelled, after a look at what would change", async () => {
  const first = await submit(play.daybook, { kind: "pick" });
  const second = await submit(play.daybook, { kind: "pick" });
  const third = await submit(play.daybook, { kind: "pick" });
  const page = await play.tab();
  await page.goto("/jobs?kind=pick");
  await seeState(page, third.id, "queued");
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  await page.keyboard.press("Shift+ArrowDown");
  await page.getByText("2 selected").waitFor();
  await page.keyboard.press("c");
  const dialog = page.getByRole("dialog", { name: "Cancel jobs" });
  await dialog.getByText("2 jobs would be cancelled.").waitFor();
  expect(await violations(page)).toEqual([]);
  await picture(page, "bulk-dialog-light");
  await dialog.getByRole("button", { name: "Cancel 2 jobs" }).click();
  await seeState(page, third.id, "cancelled");
  await seeState(page, second.id, "cancelled");
  await page.getByRole("status").filter({ hasText: "2 jobs cancelled" }).waitFor();
  expect(await row(page, first.id).getAttribute("data-state")).toBe("queued");
});

test("a range is selected with Shift, and jobs that cannot be retried are named before", async () => {
  const failing = await submit(play.daybook, { kind: "mixed", max_attempts: 1, priority: 100 });
  const waiting = await submit(play.daybook, { kind: "mixed", priority: -100 });
  const worker = await Worker.join(play.daybook);
  const lease = await worker.take();
  expect(lease.id).toBe(failing.id);
  await lease.fail("no more ink");
  const page = await play.tab();
  await page.goto("/jobs?kind=mixed");
  await seeState(page, failing.id, "failed");
  await row(page, waiting.id).getByRole("checkbox").click();
  await row(page, failing.id).getByRole("checkbox").click({ modifiers: ["Shift"] });
  await page.getByText("2 selected").waitFor();
  await page.getByRole("button", { name: "Retry", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Retry jobs" });
  await dialog.getByText("1 job stays as it is: 1 cannot be retried in their state.").waitFor();
  await dialog.getByRole("button", { name: "Retry 1 job" }).click();
  await page.getByRole("status").filter({ hasText: "1 job queued again" }).waitFor();
});

test("all that match are cancelled, also those that nobody scrolled to", async () => {
  for (let n = 0; n < 2; n++) await bulk(of("crowd", 1000));
  const page = await play.tab();
  await page.goto("/jobs?kind=crowd&state=queued");
  await page.getByRole("checkbox", { name: "Select all that are loaded" }).click();
  await page.getByRole("button", { name: /^Select all/ }).click();
  await page.getByText(/^All .*that match$/).waitFor();
  await picture(page, "bulk-all-light");
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Cancel jobs" });
  await dialog.getByText("2,000 jobs would be cancelled.").waitFor();
  await dialog.getByRole("button", { name: "Cancel 2,000 jobs" }).click();
  await page.getByText("No job matches").waitFor();
  expect((await call<JobList>(play.daybook, "GET", "/api/jobs?kind=crowd&state=active")).jobs.length).toBe(0);
});

test("those that were shown are cancelled, and not what came after the look; the focus stays in the list", async () => {
  await bulk(of("shown", 3));
  const page = await play.tab();
  await page.goto("/jobs?kind=shown&state=queued");
  await page.getByRole("checkbox", { name: "Select all that are loaded" }).click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Cancel jobs" });
  await dialog.getByText("3 jobs would be cancelled.").waitFor();
  const later = await submit(play.daybook, { kind: "shown" });
  // There before the others go: of a list that was empty for a moment the focus is the page's.
  await seeState(page, later.id, "queued");
  await page.keyboard.press("Enter");
  await page.getByRole("status").filter({ hasText: "3 jobs cancelled" }).waitFor();
  await seeState(page, later.id, "queued");
  const focused = (): Promise<string | undefined> => page.evaluate(() => (document.activeElement as HTMLElement).dataset.jobId ?? document.activeElement?.outerHTML.slice(0, 120));
  await expect.poll(focused, { timeout: 10_000 }).toBe(later.id);
});

test("where a line is cut in the middle of many, it says how far it came", async () => {
  await bulk(of("cut", 700));
  const page = await play.tab();
  await page.goto("/jobs?kind=cut&state=queued");
  await page.getByRole("checkbox", { name: "Select all that are loaded" }).click();
  await page.getByRole("button", { name: /^Select all/ }).click();
  let done = 0;
  await page.route("**/api/jobs/actions", (route) => {
    const { dry_run } = route.request().postDataJSON() as { dry_run: boolean };
    return !dry_run && (done += 1) === 2 ? route.abort() : route.continue();
  });
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Cancel jobs" });
  await dialog.getByRole("button", { name: "Cancel 700 jobs" }).click();
  await dialog.getByText("500 jobs were cancelled before. Look again to see what is left.").waitFor();
  await dialog.getByText("It may have been done all the same").waitFor();
  await dialog.getByRole("button", { name: "Look again" }).click();
  await dialog.getByRole("button", { name: "Cancel 200 jobs" }).click();
  await page.getByText("No job matches").waitFor();
});

test("an answer that is lost: another look says what was done", async () => {
  await bulk(of("unheard", 3));
  const page = await play.tab();
  await page.goto("/jobs?kind=unheard");
  await page.getByRole("checkbox", { name: "Select all that are loaded" }).click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Cancel jobs" });
  await dialog.getByText("3 jobs would be cancelled.").waitFor();
  await page.route("**/api/jobs/actions", async (route) => {
    await route.fetch();
    await route.abort();
  });
  await dialog.getByRole("button", { name: "Cancel 3 jobs" }).click();
  await dialog.getByText("0 jobs were cancelled before. Look again").waitFor();
  await page.unroute("**/api/jobs/actions");
  await dialog.getByRole("button", { name: "Look again" }).click();
  await dialog.getByText("3 jobs stay as they are: 3 already ended.").waitFor();
});

test("new jobs wait behind a bar while one reads further down, and rows keep their place", async () => {
  await bulk(of("calm", 300));
  const page = await play.tab();
  await page.goto("/jobs?kind=calm");
  await page.getByRole("grid").getByRole("row").nth(5).waitFor();
  const scroller = scrollerOf(page, "Jobs");
  const atTop = async (): Promise<string[]> => (await inView(scroller, "data-job-id")).slice(0, 5);
  const first = await atTop();
  await scrollTo(scroller, 3000);
  await expect.poll(async () => (await atTop()).length).toBe(5);
  await atRest(scroller);
  const before = await atTop();
  expect(before).not.toEqual(first);
  const fresh = await submit(play.daybook, { kind: "calm" });
  const bar = page.getByRole("button", { name: "1 new job" });
  await bar.waitFor();
  await atRest(scroller);
  expect(await atTop()).toEqual(before);
  await bar.click();
  await seeState(page, fresh.id, "queued");
});

test("kind, queue and tag are chips in the address", async () => {
  const job = await submit(play.daybook, { kind: "chips", queue: "slow", tags: ["red"] });
  const page = await play.tab();
  page.setDefaultTimeout(3000);
  await page.goto("/jobs");
  await page.getByRole("combobox", { name: "Kind" }).pressSequentially("chips");
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.searchParams.get("kind") === "chips");
  await page.getByRole("textbox", { name: "Tag" }).or(page.getByRole("combobox", { name: "Tag" })).pressSequentially("blue");
  await page.keyboard.press("Enter");
  await page.getByText("Looked for: kind chips, tag blue.").waitFor();
  await page.getByRole("button", { name: "Remove the filter: tag blue" }).click();
  await seeState(page, job.id, "queued");
  await page.getByRole("button", { name: /^Failed/i }).click();
  await page.getByRole("button", { name: /^Queued/i }).click({ modifiers: ["Control"] });
  await page.waitForURL((url) => url.searchParams.getAll("state").join() === "failed,queued");
  await seeState(page, job.id, "queued");
});
