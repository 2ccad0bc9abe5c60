// The page of workers: who is there, what they run, who is late; quiet, terminate, the past, and child processes.

import type { Page } from "playwright-core";
import { beforeEach, expect, test } from "vitest";
import type { WorkerList } from "../src/api/types.gen.ts";
import { picture, pill, stage, violations } from "./support/stage.ts";
import { call, submit, Worker } from "./support/worker.ts";
import { Daybook } from "./support/daybook.ts";

// A lease that leaves the time to see a worker late before it is gone.
const play = stage({ config: 'lease_s = 45\n' });

const line = (page: Page, worker: Worker) => page.locator(`[data-worker="${worker.session}"]`);

/** What a test left behind, also one that failed, is nothing to the next. */
beforeEach(async () => {
  const { workers } = await call<WorkerList>(play.daybook, "GET", "/api/workers");
  for (const { session } of workers) await call(play.daybook, "DELETE", `/api/workers/${session}`);
  await call(play.daybook, "POST", "/api/jobs/actions", { action: "cancel", filter: { state: ["active"] }, dry_run: false });
});

test("without a worker the page says how to start one", async () => {
  const page = await play.tab();
  await page.goto("/workers");
  await page.getByText("No workers", { exact: true }).waitFor();
  await page.getByText(/daybook work --server http.* --kind KIND -- COMMAND/).waitFor();
  await picture(page, "workers-empty");
  expect(await violations(page)).toEqual([]);
});

test("a worker joins, runs, and leaves", async () => {
  const page = await play.tab();
  await page.goto("/workers");
  await page.getByText("No workers", { exact: true }).waitFor();
  const worker = await Worker.join(play.daybook, "anna");
  await line(page, worker).getByText("Takes jobs").waitFor();
  await line(page, worker).getByText("every kind").waitFor();
  const job = await submit(play.daybook, { kind: "resize" });
  const lease = await worker.take();
  await line(page, worker).getByTitle(`Job ${job.id}`).click();
  await page.waitForURL(`**/jobs/${job.id}`);
  await page.goBack();
  await line(page, worker).getByTitle(`Job ${job.id}`).waitFor();
  await lease.complete(null);
  await line(page, worker).getByText("nothing").waitFor();
  await worker.leave();
  await line(page, worker).waitFor({ state: "detached" });
});

test("a worker that is not heard of is marked, and not dropped", async () => {
  const worker = await Worker.join(play.daybook, "sleepy");
  const page = await play.tab();
  await page.goto("/workers");
  await line(page, worker).waitFor();
  expect(await line(page, worker).getAttribute("data-late")).toBeNull();
  await page.locator(`[data-worker="${worker.session}"][data-late]`).waitFor({ timeout: 45_000 });
  await line(page, worker).getByText("Late").waitFor();
  await picture(page, "workers-late");
  expect(await violations(page)).toEqual([]);
  await worker.beat();
  await page.locator(`[data-worker="${worker.session}"]:not([data-late])`).waitFor();
  await worker.leave();
  await line(page, worker).waitFor({ state: "detached" });
}, 90_000);

test("quiet and terminate are asked for before, and shown", async () => {
  const worker = await Worker.join(play.daybook, "busy");
  await submit(play.daybook, { kind: "resize" });
  const lease = await worker.take();
  const page = await play.tab();
  await page.goto("/workers");
  await line(page, worker).getByRole("button", { name: "Quiet busy" }).click();
  await page.getByRole("dialog", { name: "Quiet busy?" }).getByText("It runs 1 job now.").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Leave as it is" }).click();
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  expect(await line(page, worker).getAttribute("data-state")).toBe("run");
  expect(await page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toBe("Quiet busy");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").getByRole("button", { name: "Quiet" }).click();
  await page.locator(`[data-worker="${worker.session}"][data-state="quiet"]`).waitFor();
  await line(page, worker).getByRole("button", { name: "Terminate busy" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Terminate" }).click();
  await page.locator(`[data-worker="${worker.session}"][data-state="terminate"]`).waitFor();
  await lease.complete(null);
  await worker.leave();
});

test("workers of the past are read-only", async () => {
  const worker = await Worker.join(play.daybook, "gone");
  const { seq } = await call<WorkerList>(play.daybook, "GET", "/api/workers");
  await worker.leave();
  const page = await play.tab();
  await page.goto(`/workers?at=${seq}`);
  await line(page, worker).getByText("not on record").waitFor();
  expect(await line(page, worker).getByRole("button", { name: "Quiet gone" }).isDisabled()).toBe(true);
  await page.goto("/workers");
  await page.getByText("No workers", { exact: true }).waitFor();
});

test.each([
  ["desk", "light"],
  ["desk", "dark"],
  ["phone", "light"],
  ["phone", "dark"],
] as const)("no barriers, nothing scrolls sideways: %s, %s", async (size, theme) => {
  const worker = await Worker.join(play.daybook, "a worker with a long name on render-farm-17.example.internal", 10);
  const other = await Worker.join(play.daybook, "anna");
  await call(play.daybook, "POST", `/api/workers/${other.session}/quiet`);
  const picky = await call<{ session: string }>(play.daybook, "POST", "/api/workers", { name: "picky", kinds: ["resize", "upscale", "a-kind-with-a-name-that-is-rather-long-too"], queues: ["images"], concurrency: 2 });
  for (let n = 0; n < 6; n++) await submit(play.daybook, { kind: "render" });
  const leases = await Promise.all(Array.from({ length: 6 }, () => worker.take()));
  const page = await play.tab({ size, theme });
  await page.goto("/workers");
  await pill(page).waitFor();
  await line(page, worker).getByText("and 3 more").waitFor();
  await picture(page, `workers-${size}-${theme}`);
  expect(await violations(page)).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  for (const lease of leases) await lease.complete(null);
  await worker.leave();
  await other.leave();
  await call(play.daybook, "DELETE", `/api/workers/${picky.session}`);
});

test("child processes run, and those that are not there are told of", async () => {
  const config = '[kinds.echo.run]\nmode = "command"\ncommand = ["sleep", "0"]\n\n[kinds.broken.run]\nmode = "session"\ncommand = ["./is-not-there"]\n';
  const other = new Daybook({ config });
  await other.start();
  try {
    await play.front.to(other.port);
    const page = await play.tab();
    await page.goto("/workers");
    const echo = page.locator("[data-worker]", { hasText: "echo" });
    await echo.getByText("child process").waitFor();
    await page.getByRole("heading", { name: "Child processes that are to be started again" }).waitFor();
    await page.getByText(/was not started/).waitFor();
    await picture(page, "workers-restarting");
    expect(await violations(page)).toEqual([]);
  } finally {
    await play.clearTabs();
    await play.front.to(play.daybook.port);
    await other.remove();
  }
});
