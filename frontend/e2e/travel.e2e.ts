// Time travel: lists, jobs, queues and workers as of any event; the scrubber, the keys, comparing, and back to live.

import type { Page } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import type { EventPage, JobBody } from "../src/api/types.gen.ts";
import { picture, seeState, stage, violations } from "./support/stage.ts";
import { call, submit, Worker } from "./support/worker.ts";

const play = stage();
const bar = (page: Page) => page.getByRole("region", { name: "Time travel" });
const slider = (page: Page) => page.getByRole("slider", { name: "Moment in the log" });
const live = (page: Page) => page.locator('[data-connection="live"]').waitFor();
const at = (page: Page): number => Number(new URL(page.url()).searchParams.get("at"));
const eventsOf = async (): Promise<EventPage> => call(play.daybook, "GET", "/api/events?after=0&limit=500");

/** As long the scrubber rests before it asks. */
const REST_MS = 80;

let job: JobBody;

/** The middle of the first bar that is drawn: event 1 is in it. */
async function firstBar(page: Page): Promise<{ readonly x: number; readonly y: number }> {
  const box = await slider(page).boundingBox();
  const drawn = await slider(page).locator("svg").evaluate((svg) => {
    const paths = [...svg.querySelectorAll("path")].map((path) => path.getAttribute("d") ?? "");
    return { index: /M(\d+) /.exec(paths.join(""))?.[1], count: svg.getAttribute("viewBox")?.split(" ")[2] };
  });
  if (box === null || drawn.index === undefined || drawn.count === undefined) throw new Error("no bar is drawn");
  return { x: box.x + (box.width * (Number(drawn.index) + 0.5)) / Number(drawn.count), y: box.y + box.height / 2 };
}

/** What is told under the pointer there. Which types come first depends on how many events share the bar. */
async function hoverFirst(page: Page): Promise<void> {
  const { x, y } = await firstBar(page);
  await page.mouse.move(x, y);
  await bar(page).getByText(/^events 1 to \d+$/).waitFor();
}

/** A life with all that a list shows: submitted, run, failed, run again, completed; and others beside it. */
beforeAll(async () => {
  job = await submit(play.daybook, { kind: "life", args: { question: "six by nine" }, priority: 90 });
  const worker = await Worker.join(play.daybook, "crane-1");
  const lease = await worker.take();
  await lease.progress(40, "nearly");
  await submit(play.daybook, { kind: "beside", queue: "images" });
  await call(play.daybook, "POST", "/api/queues/images/pause", {});
  await lease.fail("the disk is full");
  await call(play.daybook, "POST", `/api/jobs/${job.id}/retry`, {});
  const again = await worker.take();
  await again.complete({ answer: 42 });
});

/** The state that an event leaves a job in. */
const STATES: Readonly<Record<string, string>> = {
  "job.submitted": "queued",
  "job.started": "running",
  "job.failed": "failed",
  "job.retried": "queued",
  "job.completed": "completed",
};

test("at each event of a job's life the list shows the state of then", async () => {
  const { events } = await eventsOf();
  const page = await play.tab();
  await page.goto("/jobs?at=1");
  await page.getByText("No jobs then").waitFor();
  let state: string | null = null;
  for (const event of events) {
    if (event.job_id === job.id) state = STATES[event.type] ?? state;
    if (event.seq > 1) await page.keyboard.press("]");
    await page.waitForURL(`**/jobs?at=${event.seq}`);
    await page.locator(`[data-event-seq="${event.seq}"]`).waitFor();
    if (state === null) continue;
    await seeState(page, job.id, state);
  }
  expect(state).toBe("completed");
  // And back again: an older state wins over the newer one that was shown.
  for (const event of events.toReversed().slice(1)) {
    await page.keyboard.press("[");
    await page.waitForURL(`**/jobs?at=${event.seq}`);
    if (event.type === "job.started" && event.job_id === job.id) await seeState(page, job.id, "running");
  }
  await page.getByText("No jobs then").waitFor();
});

test("a job's page, queues and workers are shown as of then, read-only, and the moment goes along", async () => {
  const { events } = await eventsOf();
  const started = events.find(({ type, job_id }) => type === "job.started" && job_id === job.id)?.seq ?? 0;
  const page = await play.tab();
  const posts: string[] = [];
  page.on("request", (request) => {
    if (request.method() !== "GET") posts.push(request.url());
  });
  await page.goto(`/jobs/${job.id}?at=${started}`);
  await page.locator(`main [data-job-id="${job.id}"][data-state="running"]`).waitFor();
  await bar(page).getByText("Viewing event").waitFor();
  await bar(page).getByText(/was started by crane-1/).waitFor();
  await page.locator("main").getByText("six by nine").waitFor();
  const strip = page.getByRole("region", { name: "Active jobs" }).getByRole("button", { name: /^Cancel beside/ });
  await strip.waitFor();
  expect(await strip.isDisabled()).toBe(true);
  expect(await strip.getAttribute("title")).toContain("This is the past");
  await page.getByRole("link", { name: "Queues" }).click();
  await page.waitForURL(`**/queues?at=${started}`);
  await page.getByRole("link", { name: "Schedules" }).click();
  await bar(page).getByText("This page shows the present").waitFor();
  await page.getByRole("link", { name: "Jobs" }).click();
  await page.waitForURL(`**/jobs?at=${started}`);
  await seeState(page, job.id, "running");
  expect(posts).toEqual([]);
});

test("in and out: a button and keys lead to the past, Esc and . back to live", async () => {
  const page = await play.tab();
  await page.goto("/jobs?kind=life");
  await live(page);
  await page.getByRole("button", { name: /Look back in time/ }).click();
  await page.waitForURL(/kind=life&at=\d+/);
  await bar(page).waitFor();
  await page.keyboard.press("Escape");
  await page.waitForURL("**/jobs?kind=life");
  await bar(page).waitFor({ state: "detached" });
  await page.keyboard.press("t");
  await bar(page).waitFor();
  await page.keyboard.press(".");
  await bar(page).waitFor({ state: "detached" });
  const fresh = await submit(play.daybook, { kind: "life" });
  await seeState(page, fresh.id, "queued");
  await page.goBack();
  await page.keyboard.press("t");
  await bar(page).getByRole("button", { name: "Back to live" }).click();
  await bar(page).waitFor({ state: "detached" });
});

test("while one looks back what happens now changes nothing on view but the strip", async () => {
  const { seq } = await eventsOf();
  const page = await play.tab();
  await page.goto(`/jobs?at=${seq}`);
  await seeState(page, job.id, "completed");
  const fresh = await submit(play.daybook, { kind: "later" });
  await page.locator(`[data-active-job-id="${fresh.id}"]`).waitFor();
  expect(await page.locator(`[role=row][data-job-id="${fresh.id}"]`).count()).toBe(0);
  await page.locator(`[data-active-job-id="${fresh.id}"] a`).click();
  await page.waitForURL(`**/jobs/${fresh.id}`);
  await page.locator(`main [data-job-id="${fresh.id}"]`).waitFor();
});

test("the scrubber moves by keys, and tells what was", async () => {
  const { seq } = await eventsOf();
  const page = await play.tab();
  await page.goto(`/jobs?at=${seq}`);
  await slider(page).focus();
  await page.keyboard.press("Home");
  await page.waitForURL("**/jobs?at=1");
  expect(await slider(page).getAttribute("aria-valuetext")).toMatch(/^event 1, \d\d:\d\d:\d\d/);
  await page.keyboard.press("ArrowRight");
  await page.waitForURL("**/jobs?at=2");
  await page.keyboard.press("PageUp");
  await page.waitForURL((url) => Number(url.searchParams.get("at")) > 2);
  await page.keyboard.press("End");
  await page.waitForURL(`**/jobs?at=${seq}`);
  await seeState(page, job.id, "completed");
  await hoverFirst(page);
});

test("the scrubber is moved by hand, and asks when it rests and not before", async () => {
  const { seq } = await eventsOf();
  const page = await play.tab();
  const lists: string[] = [];
  page.on("request", (request) => {
    if (request.url().includes("/api/jobs?")) lists.push(request.url());
  });
  // Time goes on when the test says so: how fast the machine is does not matter.
  await page.clock.install();
  await page.goto(`/jobs?at=${seq}`);
  await seeState(page, job.id, "completed");
  const box = await slider(page).boundingBox();
  if (box === null) throw new Error("the slider is there");
  const y = box.y + box.height / 2;
  await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 10_000);
  lists.length = 0;
  await page.mouse.move(box.x + box.width - 2, y);
  await page.mouse.down();
  // Past its left end at last: there is event 1, wherever the bars are.
  for (let step = 1; step <= 40; step++) {
    await page.mouse.move(box.x - 5 + (box.width * (40 - step)) / 40, y);
    await page.clock.runFor(REST_MS / 2);
  }
  await page.mouse.up();
  await expect.poll(() => slider(page).getAttribute("aria-valuenow")).toBe("1");
  expect(lists).toEqual([]);
  await page.clock.resume();
  await page.waitForURL("**/jobs?at=1");
  await page.getByText("No jobs then").waitFor();
  expect(lists.map((url) => new URL(url).searchParams.get("at"))).toEqual(["1"]);
});

test("a moment that is not there is said so, with a way on", async () => {
  const { seq } = await eventsOf();
  const page = await play.tab();
  await page.goto("/jobs?at=999999");
  await bar(page).getByText("There is no event 999,999 yet").waitFor();
  await bar(page).getByRole("button", { name: "Go to the last" }).click();
  await page.waitForURL((url) => Number(url.searchParams.get("at")) >= seq);
  await seeState(page, job.id, "completed");
});

test("it plays, and stops at the end", async () => {
  const { seq } = await eventsOf();
  const page = await play.tab();
  await page.goto(`/jobs?at=${seq - 3}`);
  await page.locator(`[data-event-seq="${seq - 3}"]`).waitFor();
  await bar(page).getByRole("button", { name: "100×" }).click();
  await page.waitForURL(`**/jobs?at=${seq}`);
  await expect.poll(() => bar(page).getByRole("button", { name: "100×" }).getAttribute("aria-pressed")).toBe("false");
});

test("two moments are compared: what was active then and then, and what happened between", async () => {
  const { events } = await eventsOf();
  const submitted = events.find(({ job_id }) => job_id === job.id)?.seq ?? 0;
  const completed = events.find(({ type, job_id }) => type === "job.completed" && job_id === job.id)?.seq ?? 0;
  const page = await play.tab();
  await page.goto(`/jobs?at=${submitted}`);
  await bar(page).getByRole("button", { name: "Compare" }).click();
  const dialog = page.getByRole("dialog", { name: "Compare two moments" });
  await dialog.getByLabel("To event").fill(String(completed));
  await page.keyboard.press("Enter");
  await page.waitForURL(`**/jobs?at=${submitted}&to=${completed}`);
  await dialog.getByText(/of 2 jobs: 1 submitted, 2 started, 1 completed, 1 failed, 1 retried by hand/).waitFor();
  await dialog.getByText("images").waitFor();
  expect(await violations(page)).toEqual([]);
  await picture(page, "compare-desk");
  await page.reload();
  await dialog.getByText(/of 2 jobs/).waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  expect(at(page)).toBe(submitted);
});

test.each(["light", "dark"] as const)("it has no barriers that axe knows of, and fits a phone (%s)", async (theme) => {
  const { events } = await eventsOf();
  const started = events.find(({ type }) => type === "job.started")?.seq ?? 0;
  const page = await play.tab({ theme });
  for (const path of ["/jobs", `/jobs/${job.id}`, "/queues", "/workers"]) {
    await page.goto(`${path}?at=${started}`);
    await slider(page).waitFor();
    await bar(page).locator(`[data-event-seq="${started}"]`).waitFor();
    expect(await violations(page), path).toEqual([]);
  }
  await page.goto(`/jobs?at=${started}`);
  await seeState(page, job.id, "running");
  await hoverFirst(page);
  await picture(page, `travel-desk-${theme}`);
  await page.setViewportSize({ width: 360, height: 740 });
  await seeState(page, job.id, "running");
  await picture(page, `travel-phone-${theme}`);
  expect(await violations(page)).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
});

test("a restart keeps the moment, as the log is the same", async () => {
  const { events } = await eventsOf();
  const started = events.find(({ type }) => type === "job.started")?.seq ?? 0;
  const page = await play.tab();
  await page.goto(`/jobs?at=${started}`);
  await seeState(page, job.id, "running");
  await play.restart();
  await page.locator('[data-connection="restarted"]').waitFor();
  await page.getByRole("status").filter({ hasText: "The server restarted" }).first().waitFor();
  await page.keyboard.press("[");
  await page.waitForURL(`**/jobs?at=${started - 1}`);
  await page.keyboard.press("]");
  await seeState(page, job.id, "running");
});
