// The page of queues: how deep and how old they are, paused, drained and resumed, in the past, by keys, in both sizes.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import type { QueueList } from "../src/api/types.gen.ts";
import { picture, pill, stage, violations } from "./support/stage.ts";
import { call, submit, Worker } from "./support/worker.ts";

const play = stage({ config: '[queues.images]\nconcurrency = 1\nrate = "600/m"\n' });

const line = (page: Page, name: string) => page.locator(`[data-queue="${name}"]`);

test("a paused queue lets its jobs wait, and they go on after it is resumed", async () => {
  const page = await play.tab();
  await page.goto("/queues");
  await line(page, "images").getByText("0 of 1").waitFor();
  await line(page, "images").getByRole("button", { name: "Pause images" }).click();
  await page.locator('[data-queue="images"][data-gate="paused"]').waitFor();
  await line(page, "images").getByText(/by a client/).waitFor();
  expect(await page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toBe("Resume images");

  const worker = await Worker.join(play.daybook, "patient");
  const job = await submit(play.daybook, { kind: "resize", queue: "images" });
  const waits = worker.take();
  await line(page, "images").locator('[data-depth="queued"]', { hasText: "1 queued" }).waitFor();
  await page.keyboard.press("Enter");
  await page.locator('[data-queue="images"][data-gate="open"]').waitFor();
  const lease = await waits;
  expect(lease.id).toBe(job.id);
  await line(page, "images").locator('[data-depth="running"]', { hasText: "1 running" }).waitFor();
  await line(page, "images").getByText("1 of 1, full").waitFor();
  await lease.complete(null);
  await line(page, "images").getByText("empty").waitFor();
  await worker.leave();
});

test("a draining queue takes no jobs; it is asked for before", async () => {
  await submit(play.daybook, { kind: "resize", queue: "old" });
  const page = await play.tab();
  await page.goto("/queues");
  await line(page, "old").getByRole("button", { name: "Drain old" }).click();
  const dialog = page.getByRole("dialog", { name: "Drain old?" });
  await dialog.getByText("submits and retries by hand are refused").waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  expect(await line(page, "old").getAttribute("data-gate")).toBe("open");
  await line(page, "old").getByRole("button", { name: "Drain old" }).click();
  await dialog.getByRole("button", { name: "Drain" }).click();
  await page.locator('[data-queue="old"][data-gate="draining"]').waitFor();
  await expect(submit(play.daybook, { kind: "resize", queue: "old" })).rejects.toThrow("queue_draining");
  await line(page, "old").getByRole("button", { name: "Resume old" }).click();
  await page.locator('[data-queue="old"][data-gate="open"]').waitFor();
});

test("the numbers lead to the jobs of the queue", async () => {
  const job = await submit(play.daybook, { kind: "resize", queue: "linked" });
  const page = await play.tab();
  await page.goto("/queues");
  await line(page, "linked").locator('[data-depth="queued"]').click();
  await page.waitForURL("**/jobs?queue=linked&state=queued");
  await page.locator(`[data-job-id="${job.id}"]`).waitFor();
  await page.goto("/queues");
  await line(page, "linked").getByRole("link", { name: "linked", exact: true }).click();
  await page.waitForURL("**/jobs?queue=linked&state=active");
});

/** How many seconds a queue's oldest job waits, as the table says it. */
async function oldestOf(page: Page, queue: string): Promise<number> {
  const heads = await page.getByRole("columnheader").allInnerTexts();
  // The name of the queue is a head of its row, and no cell.
  const text = await line(page, queue).getByRole("cell").nth(heads.indexOf("Oldest waits") - 1).innerText();
  const [, minutes = "0", seconds = "0"] = /^(?:(\d+) min)? ?(?:([\d.]+) s)?$/.exec(text) ?? [];
  return text === "–" ? -1 : Number(minutes) * 60 + Number(seconds);
}

test("how long the oldest waits is counted, and is the next one's when it goes", async () => {
  const page = await play.tab();
  await page.goto("/queues");
  const first = await submit(play.daybook, { kind: "resize", queue: "aging" });
  await line(page, "aging").waitFor();
  await expect.poll(() => oldestOf(page, "aging"), { timeout: 20_000 }).toBeGreaterThanOrEqual(3);
  const second = await submit(play.daybook, { kind: "resize", queue: "aging" });
  await line(page, "aging").getByText("2 queued").waitFor();
  expect(await oldestOf(page, "aging")).toBeGreaterThanOrEqual(3);
  const { seq, queues } = await call<QueueList>(play.daybook, "GET", "/api/queues");
  expect(queues.find(({ name }) => name === "aging")?.oldest_queued_at).toBe(first.created_at);
  await call(play.daybook, "POST", `/api/jobs/${first.id}/cancel`, {});
  // As old as the second is, give or take a second: it came at least three seconds after the first.
  const ageOf = ({ created_at }: { readonly created_at: string }): number => (Date.now() - Date.parse(created_at)) / 1_000;
  await expect.poll(async () => Math.abs((await oldestOf(page, "aging")) - ageOf(second))).toBeLessThan(1.5);
  await call(play.daybook, "POST", `/api/jobs/${second.id}/cancel`, {});
  await expect.poll(() => oldestOf(page, "aging")).toBe(-1);
  // Then it had waited so long, however long ago that is.
  const then = await call<QueueList>(play.daybook, "GET", `/api/queues?at=${seq}`);
  const age = then.queues.find(({ name }) => name === "aging")?.oldest_age_s ?? 0;
  await page.goto(`/queues?at=${seq}`);
  await line(page, "aging").waitFor();
  expect(Math.abs((await oldestOf(page, "aging")) - age)).toBeLessThan(1);
});

test("queues are walked by keys", async () => {
  for (const queue of ["k1", "k2"]) await submit(play.daybook, { kind: "resize", queue });
  const page = await play.tab();
  await page.goto("/queues");
  await line(page, "k2").waitFor();
  const focused = (): Promise<string | undefined> => page.evaluate(() => document.activeElement?.closest<HTMLElement>("[data-queue]")?.dataset.queue);
  await page.keyboard.press("j");
  const first = await focused();
  await page.keyboard.press("j");
  expect(await focused()).not.toBe(first);
  await page.keyboard.press("k");
  expect(await focused()).toBe(first);
});

test("queues of the past are read-only", async () => {
  await submit(play.daybook, { kind: "resize", queue: "past" });
  const { seq } = await call<QueueList>(play.daybook, "GET", "/api/queues");
  await submit(play.daybook, { kind: "resize", queue: "past" });
  const page = await play.tab();
  await page.goto(`/queues?at=${seq}`);
  await line(page, "past").getByText("1 queued").waitFor();
  expect(await line(page, "past").getByRole("button", { name: "Pause past" }).isDisabled()).toBe(true);
  await page.goto("/queues");
  await line(page, "past").getByText("2 queued").waitFor();
});

test("a past that is no more says so", async () => {
  const page = await play.tab();
  await page.goto("/queues?at=99999999");
  await page.getByRole("alert").getByText("invalid_query").waitFor();
});

test.each([
  ["desk", "light"],
  ["desk", "dark"],
  ["phone", "light"],
  ["phone", "dark"],
] as const)("no barriers, nothing scrolls sideways: %s, %s", async (size, theme) => {
  const long = "a-queue-with-quite-a-long-name.that-goes-on-and-on:to-the-end-of-what-is-allowed";
  for (let n = 0; n < 4; n++) await submit(play.daybook, { kind: "resize", queue: long });
  await submit(play.daybook, { kind: "resize", queue: long, delay_s: 3600 });
  await call(play.daybook, "POST", `/api/queues/${long}/pause`);
  await call(play.daybook, "POST", "/api/queues/old/drain");
  const page = await play.tab({ size, theme });
  await page.goto("/queues");
  await pill(page).waitFor();
  await line(page, long).getByText(/queued/).first().waitFor();
  await page.locator('[data-queue="old"][data-gate="draining"]').waitFor();
  await picture(page, `queues-${size}-${theme}`);
  expect(await violations(page)).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
});
