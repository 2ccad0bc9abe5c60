// The list of jobs and the way from it to a job: live, filtered, by keys, of thousands, in both themes and sizes.

import { expect, test } from "vitest";
import { listGoesOn } from "./support/settled.ts";
import { picture, pill, row, seeState, stage, violations } from "./support/stage.ts";
import { submit, Worker } from "./support/worker.ts";

const play = stage();

test("a job that is submitted appears at once, and its states follow live", async () => {
  const page = await play.tab();
  await page.goto("/");
  await page.waitForURL("**/jobs");
  await page.locator('[data-connection="live"]').waitFor();
  const job = await submit(play.daybook, { kind: "resize" });
  await seeState(page, job.id, "queued");
  const worker = await Worker.join(play.daybook);
  const lease = await worker.take();
  await seeState(page, job.id, "running");
  await lease.progress(40, "halfway, nearly");
  await row(page, job.id).getByText("halfway, nearly").waitFor();
  await lease.complete({ answer: 42 });
  await seeState(page, job.id, "completed");
});

test("a refresh shows the same list, and says nothing of a restart", async () => {
  const job = await submit(play.daybook, { kind: "resize" });
  const page = await play.tab();
  await page.goto("/jobs");
  await seeState(page, job.id, "queued");
  await page.reload();
  await seeState(page, job.id, "queued");
  await page.locator('[data-connection="live"]').waitFor();
  await listGoesOn(page, play.daybook);
  expect(await page.getByRole("status").filter({ hasText: "restarted" }).count()).toBe(0);
});

test("the pill says how the page stands with the server, and a restart keeps the rows", async () => {
  const job = await submit(play.daybook, { kind: "resize" });
  const page = await play.tab();
  await page.goto("/jobs");
  await page.locator('[data-connection="live"]').waitFor();
  await play.daybook.kill();
  await page.locator('[data-connection="offline"]').waitFor();
  await seeState(page, job.id, "queued");
  await play.restart();
  await page.locator('[data-connection="restarted"]').waitFor();
  await page.getByRole("status").filter({ hasText: "restarted" }).first().waitFor();
  await page.locator('[data-connection="live"]').waitFor();
  await seeState(page, job.id, "queued");
});

test("filters are in the address, and narrow the list", async () => {
  const mine = await submit(play.daybook, { kind: "upscale", queue: "images" });
  const other = await submit(play.daybook, { kind: "resize" });
  const page = await play.tab();
  await page.goto("/jobs?kind=upscale");
  await seeState(page, mine.id, "queued");
  expect(await row(page, other.id).count()).toBe(0);
  await page.getByRole("button", { name: /^Failed/i }).click();
  await page.waitForURL("**/jobs?kind=upscale&state=failed");
  await page.getByText("No job matches").waitFor();
  await page.getByRole("button", { name: "Clear all filters" }).click();
  await seeState(page, other.id, "queued");
});

test("a click opens a job, with its arguments and its result", async () => {
  const job = await submit(play.daybook, { kind: "answers", args: { question: "six by nine" }, priority: 100 });
  const page = await play.tab();
  await page.goto("/jobs");
  await row(page, job.id).click();
  await page.waitForURL(`**/jobs/${job.id}`);
  await page.getByText("six by nine").waitFor();
  const worker = await Worker.join(play.daybook);
  const lease = await worker.take();
  expect(lease.id).toBe(job.id);
  await lease.complete({ answer: "forty-two" });
  await page.getByText("forty-two").waitFor();
});

test("the list is walked and opened by keys alone", async () => {
  const older = await submit(play.daybook, { kind: "keys" });
  const newer = await submit(play.daybook, { kind: "keys" });
  const page = await play.tab();
  await page.goto("/jobs?kind=keys");
  await seeState(page, newer.id, "queued");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  expect(await page.evaluate(() => (document.activeElement as HTMLElement).dataset.jobId)).toBe(older.id);
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  await page.waitForURL(`**/jobs/${newer.id}`);
  await page.keyboard.press("g");
  await page.keyboard.press("q");
  await page.waitForURL("**/queues");
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
});

test("a list of thousands is scrolled to its end", async () => {
  for (let n = 0; n < 3; n++) {
    const jobs = Array.from({ length: 1000 }, () => ({ kind: "many", args: {} }));
    await fetch(`${play.daybook.url}/api/jobs/bulk`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ jobs }) });
  }
  const page = await play.tab();
  await page.goto("/jobs?kind=many");
  const grid = page.getByRole("grid", { name: "Jobs" });
  await grid.getByRole("row").nth(5).waitFor();
  await page.keyboard.press("j");
  // Each press leads to the end of what came so far; how many it takes is the machine's business.
  const end = async (): Promise<boolean> => {
    await page.keyboard.press("End");
    return page.getByText("These are all.").isVisible();
  };
  await expect.poll(end, { timeout: 30_000 }).toBe(true);
  expect(await grid.getAttribute("aria-rowcount")).toBe("3001");
  expect(await grid.getByRole("row").count()).toBeLessThan(100);
});

test.each(["light", "dark"] as const)("the pages have no barriers that axe knows of (%s)", async (theme) => {
  const job = await submit(play.daybook, { kind: "axe", tags: ["red"] });
  const page = await play.tab({ theme });
  for (const path of ["/jobs", `/jobs/${job.id}`, "/submit", "/queues"]) {
    await page.goto(path);
    await pill(page).waitFor();
    await page.getByRole("main").getByRole("heading").first().waitFor();
    expect(await violations(page), path).toEqual([]);
  }
});

test.each([
  ["desk", "light"],
  ["desk", "dark"],
  ["phone", "light"],
  ["phone", "dark"],
] as const)("pictures: %s, %s", async (size, theme) => {
  for (let n = 0; n < 6; n++) await submit(play.daybook, { kind: "drawn", args: { n } });
  const done = await submit(play.daybook, { kind: `done-${size}-${theme}` });
  const worker = await Worker.join(play.daybook, "painter", 1, [done.kind]);
  await (await worker.take()).complete({ answer: 42 });
  const page = await play.tab({ size, theme });
  await page.goto("/jobs");
  await page.getByRole("grid").getByRole("row").nth(5).waitFor();
  await page.locator('[data-connection="live"]').waitFor();
  await picture(page, `jobs-${size}-${theme}`);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  await page.goto("/jobs?state=completed");
  await row(page, done.id).click();
  await page.getByText("Result").waitFor();
  await picture(page, `job-${size}-${theme}`);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
});
