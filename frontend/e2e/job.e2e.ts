// The page of a job: what it shows live, on each of its tabs, and what can be done there. Its log and its files have tests
// of their own.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { begin } from "./support/begun.ts";
import { stage } from "./support/stage.ts";
import { call, submit } from "./support/worker.ts";

const play = stage();

/** The smallest picture there is, of one dot. */
const DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const DOT_TOO = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

const stateOf = (page: Page, state: string) => page.locator(`main [data-job-id][data-state="${state}"]`).first().waitFor();

const begun = (body: Readonly<Record<string, unknown>> = {}) => begin(play.daybook, body);

test("progress, stage, counts and the preview follow live, and the result is there at the end", async () => {
  const { id, lease } = await begun({ args: { question: "six by nine" } });
  const page = await play.tab();
  await page.goto(`/jobs/${id}`);
  await stateOf(page, "running");
  await page.locator("main").getByText("six by nine").waitFor();
  await lease.tell({ percent: 25, stage: "drawing", message: "the first lines", done: 1, total: 4, preview: `data:image/png;base64,${DOT}` });
  const bar = page.getByRole("progressbar", { name: "Progress of the job" });
  await page.locator("main").getByText("1 of 4").waitFor();
  await page.locator("main").getByText("the first lines").waitFor();
  expect(await bar.getAttribute("aria-valuenow")).toBe("25");
  const preview = page.getByRole("img", { name: "Preview at drawing, 25 %" });
  await preview.waitFor();
  const before = await preview.getAttribute("src");
  expect(before).toMatch(/^blob:/);
  await lease.tell({ percent: 50, stage: "painting", message: "colours", done: 2, total: 4, preview: `data:image/png;base64,${DOT_TOO}` });
  await page.getByRole("img", { name: "Preview at painting, 50 %" }).waitFor();
  await page.waitForFunction((old) => document.querySelector("main section[aria-label=Preview] img")?.getAttribute("src") !== old, before);
  await lease.file("dot.png", "image/png", Uint8Array.from(Buffer.from(DOT, "base64")));
  await lease.file("notes & more.txt", "text/plain", new TextEncoder().encode("hello"));
  await lease.complete({ answer: "fifty-four" });
  await stateOf(page, "completed");
  await page.getByText("fifty-four").waitFor();
  await page.waitForFunction(() => (document.querySelector<HTMLImageElement>("[data-file='dot.png'] img")?.naturalWidth ?? 0) > 0);
  const other = page.locator("[data-file='notes & more.txt']");
  await other.getByText("text/plain · 5 B").waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), other.getByRole("link").click()]);
  expect(download.suggestedFilename()).toBe("notes & more.txt");
});

test("items follow live, one by one and by state; only failed ones are run again", async () => {
  const items = Array.from({ length: 5 }, (_, n) => ({ key: `page-${n + 1}`, args: { n: n + 1 } }));
  const { id, lease, worker } = await begun({ items });
  const page = await play.tab();
  await page.goto(`/jobs/${id}`);
  await page.getByRole("tab", { name: /Items/ }).click();
  const item = (key: string, state: string) => page.locator(`[data-item="${key}"][data-state="${state}"]`);
  await item("page-1", "pending").waitFor();
  await lease.items({ key: "page-1", state: "completed", result: { words: 12 } }, { key: "page-2", state: "failed", error: { code: "unreadable", message: "no text on it" } });
  await item("page-1", "completed").getByText("words: 12").waitFor();
  await item("page-2", "failed").getByText("no text on it").waitFor();
  // A refresh in the middle of a batch: all of it is there again, on the same tab.
  await page.reload();
  await item("page-2", "failed").click();
  const dialog = page.getByRole("dialog", { name: "Item" });
  await dialog.getByText("unreadable").waitFor();
  await page.keyboard.press("Escape");
  await lease.complete({ done: true });
  await stateOf(page, "completed");
  await item("page-3", "skipped").waitFor();
  await page.getByRole("button", { name: /^Failed/i }).click();
  await page.waitForURL("**items=failed");
  await page.locator("[data-item]").first().waitFor();
  expect(await page.locator("[data-item]").count()).toBe(1);
  await page.keyboard.press("r");
  await page.getByText("4 failed and skipped items are run again").waitFor();
  await page.getByRole("button", { name: "Retry the items" }).click();
  await page.getByText("No item is failed").waitFor();
  const again = await worker.take();
  await again.items(...["page-2", "page-3", "page-4", "page-5"].map((key) => ({ key, state: "completed", result: null })));
  await again.complete({});
  await page.getByRole("button", { name: /^Completed/i }).click();
  await item("page-5", "completed").waitFor();
  await item("page-1", "completed").waitFor();
});

test("the tree has parents and children with their states, live, and leads from one to another", async () => {
  const { id, lease, kind } = await begun();
  const child = await lease.child({ kind: `${kind}-child` });
  const page = await play.tab();
  await page.goto(`/jobs/${child.id}?tab=tree`);
  const line = (of: string) => page.getByRole("row").and(page.locator(`[data-job-id="${of}"]`));
  await line(id).getByText("running").waitFor();
  expect(await line(child.id).getAttribute("aria-current")).toBe("true");
  await lease.complete({});
  await line(id).getByText("completed").waitFor();
  await line(id).click();
  await page.waitForURL(`**/jobs/${id}?tab=tree`);
  await page.locator(`[role=row][data-job-id="${id}"][aria-current=true]`).waitFor();
  const second = await submit(play.daybook, { kind: `${kind}-child`, parent_id: id });
  await line(second.id).getByText("queued").waitFor();
});

test("the timeline tells who did what, and the attempts with their ends", async () => {
  const { id, lease, worker } = await begun({ max_attempts: 2, args: {} });
  const page = await play.tab();
  await page.goto(`/jobs/${id}?tab=timeline`);
  await page.locator("[data-event='job.started']").waitFor();
  await lease.progress(10, "hidden at first");
  await lease.fail("the pen broke", false);
  const failed = page.locator("[data-event='job.failed']");
  await failed.getByText("the pen broke").waitFor();
  await page.getByRole("group", { name: "Attempts" }).getByText("broken: the pen broke").waitFor();
  await failed.locator("summary").click();
  await failed.getByText("data of the event").or(failed.getByRole("group", { name: "data of the event as JSON" })).first().waitFor();
  expect(await page.locator("[data-event='job.progressed']").count()).toBe(0);
  await page.getByLabel(/Progress, items/).check();
  await page.locator("[data-event='job.progressed']").first().waitFor();
  // Retried by key, and shown without a refresh.
  await page.keyboard.press("r");
  await page.getByRole("button", { name: "Retry the job" }).click();
  await page.locator("[data-event='job.retried']").waitFor();
  await (await worker.take()).complete({});
  await page.locator("[data-event='job.completed']").waitFor();
});

test("a job is cancelled by keys, with its reason told", async () => {
  const { id } = await submit(play.daybook, { kind: "nobody-takes-it" });
  const page = await play.tab();
  await page.goto(`/jobs/${id}`);
  const why = page.getByRole("region", { name: "Why" });
  await why.getByText("No worker that takes the kind nobody-takes-it from the queue default is there now.").waitFor();
  await page.keyboard.press("c");
  await page.getByRole("dialog", { name: "Cancel this job?" }).waitFor();
  await page.keyboard.press("Enter");
  await stateOf(page, "cancelled");
  await page.getByText("cancelled by request").first().waitFor();
  await why.getByText("It was cancelled by request, before it ran.").waitFor();
  await page.getByRole("dialog").waitFor({ state: "hidden" });
});

test("a running job shows that it is being cancelled until its worker lets go", async () => {
  const { id, lease } = await begun();
  const page = await play.tab();
  await page.goto(`/jobs/${id}`);
  await page.locator("main").getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Cancel the job" }).click();
  await page.locator("main").getByRole("button", { name: "Cancelling" }).waitFor();
  expect(await page.locator("main").getByRole("button", { name: "Cancelling" }).isDisabled()).toBe(true);
  await lease.fail("stopped", false);
  await stateOf(page, "cancelled");
});

test("a waiting job is changed in a dialog, and the server's errors stand at their fields", async () => {
  const { id } = await submit(play.daybook, { kind: "nobody-takes-it", tags: ["old"] });
  const page = await play.tab();
  await page.goto(`/jobs/${id}`);
  await page.getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: "Change …" }).click();
  await page.getByLabel("Priority").fill("700");
  await page.getByLabel("Tags").fill("new\nnewer");
  await page.getByRole("button", { name: "Change", exact: true }).click();
  await page.locator("input[aria-invalid]").waitFor();
  await page.getByLabel("Priority").fill("7");
  await page.getByRole("button", { name: "Change", exact: true }).click();
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  const facts = page.getByRole("region", { name: "Facts" });
  await facts.getByText("newer").waitFor();
  await facts.getByText("7", { exact: true }).waitFor();
});

test("a purge says what goes, and it is gone from the page", async () => {
  const { id, lease } = await begun({ args: { secret: "sesame" } });
  await lease.complete({ found: "treasure" });
  const page = await play.tab();
  await page.goto(`/jobs/${id}`);
  await page.getByText("treasure").waitFor();
  await page.getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: "Purge …" }).click();
  await page.getByText("its arguments and its result").waitFor();
  await page.getByRole("button", { name: "Purge for good" }).click();
  await page.getByText("Purged: they are in no answer any more.").waitFor();
  expect(await page.getByText("sesame").count()).toBe(0);
  expect(await page.getByRole("button", { name: "Retry" }).isDisabled()).toBe(true);
});

test("a job without a log says so, and what waits is explained", async () => {
  const { id } = await submit(play.daybook, { kind: "nobody-takes-it" });
  const held = await submit(play.daybook, { kind: "nobody-takes-it", depends_on: [id] });
  const page = await play.tab();
  await page.goto(`/jobs/${id}?tab=log`);
  await page.getByText("What the job writes appears here at once.").waitFor();
  await page.goto(`/jobs/${held.id}`);
  const why = page.getByRole("region", { name: "Why" });
  await why.getByText(`It waits until job ${id} is completed.`).waitFor();
  // The sentence follows what it is about.
  await call(play.daybook, "POST", `/api/jobs/${id}/cancel`, {});
  await why.getByText(`because job ${id}, which it waited for, did not complete`).waitFor();
});

test("a restart of the server in the middle of a batch loses nothing of the page", async () => {
  const { id, lease } = await begun({ items: [{ key: "one" }, { key: "two" }] });
  const page = await play.tab();
  await page.goto(`/jobs/${id}?tab=items`);
  await page.locator("[data-item='one'][data-state='pending']").waitFor();
  await play.restart();
  await lease.items({ key: "one", state: "completed", result: null });
  await page.locator("[data-item='one'][data-state='completed']").waitFor();
  await page.getByRole("tab", { name: "Timeline" }).click();
  await page.locator("[data-event='job.started']").first().waitFor();
  await page.getByRole("tab", { name: "Log" }).click();
  await lease.log("after the restart");
  await page.getByText("after the restart").waitFor();
});

test("tabs are walked by the arrow keys and stay in the address; the help lists the keys", async () => {
  const { id } = await submit(play.daybook, { kind: "nobody-takes-it" });
  const page = await play.tab();
  await page.goto(`/jobs/${id}`);
  await page.getByRole("tab", { name: "Overview", selected: true }).waitFor();
  await page.keyboard.press("ArrowRight");
  await page.waitForURL("**?tab=log");
  await page.keyboard.press("ArrowRight");
  await page.waitForURL("**?tab=timeline");
  await page.keyboard.press("ArrowLeft");
  await page.getByRole("tab", { name: "Log", selected: true }).focus();
  await page.keyboard.press("End");
  await page.getByRole("tab", { name: "Tree", selected: true }).waitFor();
  expect(await page.evaluate(() => document.activeElement?.id)).toBe("job-tab-tree");
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard" }).getByText("Cancel the job").waitFor();
});

test("a job that is not there is said so, and retried by nobody", async () => {
  const page = await play.tab();
  await page.goto("/jobs/01990000-0000-7000-8000-000000000000");
  await page.getByText("There is no such job").waitFor();
});

test("megabytes of arguments do not freeze the page", async () => {
  const args = { image: "A".repeat(8_000_000), list: Array.from({ length: 200_000 }, (_, n) => n), small: "here" };
  const { id } = await submit(play.daybook, { kind: "nobody-takes-it", args });
  const page = await play.tab();
  await page.goto(`/jobs/${id}`);
  await page.getByText('"here"').waitFor();
  expect(await page.evaluate(() => document.querySelectorAll("main *").length)).toBeLessThan(1500);
  await page.getByText("list:").click();
  await page.getByRole("button", { name: "199900 more: show 1000" }).waitFor();
  await page.getByRole("button", { name: /show 200000 of 8000000/ }).click();
  const started = Date.now();
  await page.keyboard.press("ArrowRight");
  await page.getByRole("tab", { name: "Log", selected: true }).waitFor();
  expect(Date.now() - started).toBeLessThan(1_000);
});
