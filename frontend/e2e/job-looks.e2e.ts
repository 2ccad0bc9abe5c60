// How the page of a job looks and behaves in its states: themes, phones, large things, a log that is no more.

import { expect, test } from "vitest";
import type { Page } from "playwright-core";
import { picture, stage, violations } from "./support/stage.ts";
import { call, submit, Worker, type Lease } from "./support/worker.ts";

const play = stage({ config: "[retention]\nevery_s = 1\n[retention.kinds.brief]\nfinished_count = 0\n" });
const TABS = ["overview", "items", "log", "timeline", "tree"] as const;

function pictureOf(width: number, height: number): string {
  const circles = Array.from({ length: 12 }, (_, n) => `<circle cx="${(n * 67) % width}" cy="${(n * 41) % height}" r="${14 + n * 3}" fill="hsl(${n * 30} 60% 55%)"/>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${circles.join("")}</svg>`;
}

async function full(): Promise<{ id: string; lease: Lease; failed: string }> {
  const kind = `render.long-name-of-a-kind-${crypto.randomUUID().slice(0, 8)}`;
  const worker = await Worker.join(play.daybook, "render-node-07", 10, [kind]);
  const args = { prompt: `A very long prompt ${"that goes on ".repeat(40)}`, steps: 30, size: { width: 640, height: 360 }, seeds: [1, 2, 3], image: "A".repeat(20_000) };
  const items = Array.from({ length: 40 }, (_, n) => ({ key: `chapter-${n + 1}/a page with a long name that does not fit.png`, args: { n } }));
  const parent = await submit(play.daybook, { kind: "album", tags: ["big"] });
  const { id } = await submit(play.daybook, { kind, args, items, parent_id: parent.id, priority: 7, tags: ["red", "a tag that is much longer than others are"], timeout_s: 3600, unique_key: `key of ${kind}` });
  const lease = await worker.take();
  await lease.child({ kind: "thumbnail" });
  await lease.child({ kind: "thumbnail" });
  await lease.lines(Array.from({ length: 120 }, (_, n) => ({ stream: n % 9 === 0 ? "stderr" : "stdout", text: `step ${n}: ${"some words of a log line ".repeat(n % 13)}` })));
  await lease.items(...items.slice(0, 20).map(({ key }, n) => (n % 4 === 1 ? { key, state: "failed", error: { code: "unreadable", message: "the picture is cut off in the middle, so that nothing of it can be read" } } : { key, state: "completed", result: { words: n * 7, language: "en" } })));
  const svg = pictureOf(320, 180);
  await lease.file("drawing.svg", "image/svg+xml", new TextEncoder().encode(svg));
  await lease.file("notes of the run, with a very long name indeed.txt", "text/plain", new TextEncoder().encode("hello"));
  await lease.tell({ percent: 42, stage: "painting", message: "chapter 20 of 40: a message that is long enough to be cut at the end of its line on any phone", done: 20, total: 40 });
  const broken = await submit(play.daybook, { kind, args: { why: "to fail" }, max_attempts: 1 });
  const other = await worker.take();
  await other.lines([{ stream: "stderr", text: "Traceback (most recent call last):" }]);
  await call(play.daybook, "POST", `/api/jobs/${other.id}/fail`, { error: { code: "out_of_memory", message: "the model needs 24 GB, and there are 16", details: { needed: 24, there: 16 }, retryable: true } }, { "lease-token": other.token });
  return { id, lease, failed: broken.id };
}

async function settled(page: Page): Promise<void> {
  await page.locator('[data-connection="live"]').waitFor();
  await page.getByRole("tabpanel").locator("dl, [role=grid], [role=log], ol").first().waitFor();
}

const noSideways = (page: Page): Promise<boolean> => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);

test.each([
  ["desk", "light"],
  ["desk", "dark"],
  ["phone", "light"],
  ["phone", "dark"],
] as const)("every tab has no barriers that axe knows of, and fits (%s, %s)", async (size, theme) => {
  const { id, failed } = await full();
  const page = await play.tab({ size, theme });
  for (const tab of TABS) {
    await page.goto(`/jobs/${id}${tab === "overview" ? "" : `?tab=${tab}`}`);
    await settled(page);
    await picture(page, `job-${tab}-${size}-${theme}`);
    expect(await violations(page), tab).toEqual([]);
    expect(await noSideways(page), tab).toBe(true);
  }
  await page.goto(`/jobs/${failed}`);
  await page.getByText("needs 24 GB").first().waitFor();
  await settled(page);
  await picture(page, `job-failed-${size}-${theme}`);
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Retry" }).click();
  await page.getByRole("dialog").waitFor();
  await picture(page, `job-retry-${size}-${theme}`);
  expect(await violations(page)).toEqual([]);
});

test("a job that is forgotten while it is looked at is said to be", async () => {
  const worker = await Worker.join(play.daybook, "w", 1, ["brief"]);
  const { id } = await submit(play.daybook, { kind: "brief" });
  const lease = await worker.take();
  const page = await play.tab();
  await page.goto(`/jobs/${id}`);
  await page.locator(`main [data-job-id="${id}"][data-state="running"]`).waitFor();
  await lease.complete({});
  await page.getByText("This job was forgotten").waitFor();
  await picture(page, "job-forgotten");
});

test("in the past all is as it was, nothing is live, and nothing can be done", async () => {
  const { id } = await submit(play.daybook, { kind: "past", tags: ["then"], items: [{ key: "a" }] });
  const page = await play.tab();
  const asked: string[] = [];
  page.on("request", (request) => {
    const { pathname, searchParams } = new URL(request.url());
    if (pathname.startsWith("/api/jobs/") && searchParams.has("at")) asked.push(pathname);
  });
  const { seq } = await call<{ seq: number }>(play.daybook, "GET", `/api/jobs/${id}`);
  await page.goto(`/jobs/${id}?at=${seq}`);
  await page.locator("main").getByRole("button", { name: "Cancel", exact: true }).waitFor();
  expect(await page.locator("main").getByRole("button", { name: "Cancel", exact: true }).isDisabled()).toBe(true);
  // What is shown from here on is not what is.
  const worker = await Worker.join(play.daybook, "w", 1, ["past"]);
  const lease = await worker.take();
  await lease.items({ key: "a", state: "completed", result: null });
  await lease.complete({});
  await page.getByRole("button", { name: "More actions" }).click();
  for (const name of ["Change …", "Submit again …", "Purge …"]) expect(await page.getByRole("menuitem", { name }).isDisabled(), name).toBe(true);
  await page.keyboard.press("Escape");
  await page.getByRole("tab", { name: /Items/ }).click();
  await page.locator("[data-item='a'][data-state='pending']").waitFor();
  await page.getByRole("tab", { name: "Tree" }).click();
  await page.getByRole("grid", { name: "Tree" }).getByRole("row").nth(1).waitFor();
  await page.getByRole("tab", { name: "Log" }).click();
  await page.getByText("The log is not part of the past").waitFor();
  await page.getByRole("tab", { name: "Timeline" }).click();
  await page.locator("[data-event='job.submitted']").waitFor();
  expect(await page.locator("[data-event]").count()).toBe(1);
  expect(new URL(page.url()).searchParams.get("at")).toBe(String(seq));
  expect(new Set(asked)).toEqual(new Set([`/api/jobs/${id}`, `/api/jobs/${id}/items`, `/api/jobs/${id}/tree`]));
  expect(await page.locator("main [data-state='queued']").first().count()).toBe(1);
});

test("of a hundred thousand items a page after the other is scrolled to", async () => {
  const items = Array.from({ length: 100_000 }, (_, n) => ({ key: `item-${n}` }));
  const { id } = await submit(play.daybook, { kind: "huge", items });
  const page = await play.tab();
  await page.goto(`/jobs/${id}?tab=items`);
  await page.locator("[data-item='item-0']").waitFor();
  const grid = page.getByRole("grid", { name: "Items" });
  expect(await grid.getAttribute("aria-rowcount")).toBe("100001");
  await page.locator("[data-item='item-0']").click();
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  for (let last = 499; last < 5_000; last += 500) {
    await page.keyboard.press("End");
    await page.locator(`[data-item='item-${last}']`).waitFor();
    await page.locator(`[data-item='item-${last + 1}']`).waitFor();
  }
  expect(await grid.getByRole("row").count()).toBeLessThan(100);
});

test("a page of items that does not come is said, and asked for again", async () => {
  const items = Array.from({ length: 1_200 }, (_, n) => ({ key: `item-${n}` }));
  const { id } = await submit(play.daybook, { kind: "long", items });
  const page = await play.tab();
  await page.route(/\/items\?.*cursor=/, (route) => route.fulfill({ status: 503, contentType: "application/problem+json", body: JSON.stringify({ code: "overloaded", detail: "too much to do", hint: "Try again soon." }) }));
  await page.goto(`/jobs/${id}?tab=items`);
  await page.locator("[data-item='item-0']").click();
  await page.keyboard.press("Escape");
  await page.keyboard.press("End");
  await page.getByText("too much to do").waitFor();
  await page.unroute(/\/items\?.*cursor=/);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("too much to do").waitFor({ state: "hidden" });
  await page.locator("[data-item='item-500']").waitFor();
});

test("a log of a hundred thousand lines is followed and searched", async () => {
  const worker = await Worker.join(play.daybook, "w", 1, ["chatty"]);
  const { id } = await submit(play.daybook, { kind: "chatty" });
  const lease = await worker.take();
  for (let from = 0; from < 100_000; from += 5_000) {
    await lease.lines(Array.from({ length: 5_000 }, (_, n) => ({ stream: "stdout", text: `line ${from + n}` })));
  }
  const page = await play.tab();
  await page.goto(`/jobs/${id}?tab=log`);
  await page.locator("[data-line='100000']").waitFor();
  expect(await page.locator("[data-line]").count()).toBeLessThan(200);
  await page.getByLabel("Search the log").fill("line 9999");
  await page.getByText("11 of 100000 lines").waitFor();
});

test("after a reset the page says that the job is gone, and asks nothing more about it", async () => {
  const { id } = await submit(play.daybook, { kind: "old", items: [{ key: "a" }] });
  const page = await play.tab();
  await page.goto(`/jobs/${id}?tab=items`);
  await page.locator("[data-item='a']").waitFor();
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  await play.restart("--reset-on-startup");
  await page.getByText("This job is gone with the old log").waitFor();
  await page.locator('[data-connection="live"]').waitFor();
  await picture(page, "job-reset");
  await submit(play.daybook, { kind: "new" });
  expect(asked.filter((url) => url.includes(id))).toEqual([]);
});
