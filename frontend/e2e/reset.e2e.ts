// A reset meets pages in the middle of things: a selection, open dialogs, a request that is on its way, a form about an
// old job, two moments compared. Afterwards nothing of the old log is shown, kept or asked for, whatever one presses.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import type { JobBody } from "../src/api/types.gen.ts";
import { record } from "./support/record.ts";
import { picture, seeState, stage, violations } from "./support/stage.ts";
import { call, submit, Worker } from "./support/worker.ts";

const play = stage();
const offline = (page: Page) => page.locator('[data-connection="offline"]').waitFor();
const told = (page: Page) => page.getByRole("alert").filter({ hasText: "The server began a new log" }).waitFor();
const dialog = (page: Page) => page.locator("dialog[open]");
const idsOf = (jobs: readonly JobBody[]): string[] => jobs.map(({ id }) => id);

async function old(count: number, rest: object = {}): Promise<string[]> {
  const jobs = Array.from({ length: count }, (_, n) => ({ kind: "old", args: { n }, ...rest }));
  return idsOf((await call<{ jobs: JobBody[] }>(play.daybook, "POST", "/api/jobs/bulk", { jobs })).jobs);
}

/** The server dies, and a new log begins; what the pages ask for from its first moment is what is looked at. */
async function reset(pages: readonly Page[], asked: readonly string[][]): Promise<JobBody> {
  await play.daybook.kill();
  for (const page of pages) await offline(page);
  for (const one of asked) one.length = 0;
  await play.daybook.start("--reset-on-startup");
  await play.front.to(play.daybook.port);
  const fresh = await submit(play.daybook, { kind: "new" });
  for (const page of pages) await told(page);
  return fresh;
}

const about = (asked: readonly string[][], ids: readonly string[]): string[] => asked.flat().filter((one) => ids.some((id) => one.includes(id)));

/** What the page shows and what it keeps, the address aside. */
const held = (page: Page): Promise<string> => page.evaluate(() => document.body.outerHTML + JSON.stringify({ ...localStorage, ...sessionStorage }));

/** Every key that does something to jobs, and then the way out of whatever it opened. */
async function pressAll(page: Page): Promise<void> {
  for (const key of ["x", "c", "Enter", "Escape", "r", "Enter", "Escape"]) await page.keyboard.press(key);
}

test("a selection and the open question about it are gone, and the keys that act on it ask for nothing old", async () => {
  const ids = await old(5);
  const picked = await play.tab();
  const all = await picked.context().newPage();
  const pages = [picked, all];
  const asked = pages.map(record);
  for (const page of pages) {
    await page.goto("/jobs?kind=old");
    await seeState(page, ids[4] ?? "", "queued");
  }
  await picked.bringToFront();
  for (const key of ["j", "x", "Shift+ArrowDown", "c"]) await picked.keyboard.press(key);
  await dialog(picked).getByText("2 jobs would be cancelled.").waitFor();
  await all.bringToFront();
  await all.getByRole("checkbox", { name: "Select all that are loaded" }).click();
  await all.getByText("5 selected").waitFor();
  const fresh = await reset(pages, asked);
  for (const page of pages) {
    await page.getByText("No job matches").waitFor();
    await dialog(page).waitFor({ state: "detached" });
    expect(await page.getByText(/\d selected/).count()).toBe(0);
    await page.bringToFront();
    await pressAll(page);
    await page.getByRole("button", { name: "Clear all filters" }).click();
    await seeState(page, fresh.id, "queued");
    for (const id of ids) expect(await held(page)).not.toContain(id);
  }
  expect(about(asked, ids)).toEqual([]);
  expect(asked.flat().filter((one) => one.startsWith("POST"))).toEqual([]);
  expect((await call<JobBody>(play.daybook, "GET", `/api/jobs/${fresh.id}`)).state).toBe("queued");
});

test.each(["overview", "items", "log", "timeline", "tree"])("the page of a job that vanished, on its tab %s and with a question open", async (tab) => {
  const [id = ""] = await old(1, { items: [{ key: "first" }] });
  const page = await play.tab();
  const asked = [record(page)];
  await page.goto("/jobs?kind=old");
  await seeState(page, id, "queued");
  await page.goto(`/jobs/${id}?tab=${tab}`);
  await page.locator(`main [data-job-id="${id}"]`).first().waitFor();
  await page.locator('[data-connection="live"]').waitFor();
  await page.keyboard.press("c");
  await dialog(page).getByText("It will not run.").waitFor();
  await reset([page], asked);
  await page.getByText("This job is gone with the old log").waitFor();
  await dialog(page).waitFor({ state: "detached" });
  await pressAll(page);
  // What had the focus is gone: it is on something else, and not lost.
  expect(await page.evaluate(() => document.activeElement?.tagName ?? "BODY")).not.toBe("BODY");
  if (tab === "overview") expect(await violations(page)).toEqual([]);
  expect(about(asked, [id])).toEqual([]);
});

test("going back to pages of before asks for no job of before", async () => {
  const [id = ""] = await old(1);
  const page = await play.tab();
  const asked = [record(page)];
  await page.goto("/jobs?kind=old");
  await page.locator(`[role=row][data-job-id="${id}"]`).click();
  await page.waitForURL(`**/jobs/${id}`);
  await page.locator("main").getByRole("tab", { name: "Log" }).click();
  await page.waitForURL("**?tab=log");
  await page.getByRole("link", { name: "Queues" }).click();
  await page.getByRole("heading", { name: "Queues" }).waitFor();
  const fresh = await reset([page], asked);
  await page.goBack();
  await page.waitForURL(`**/jobs/${id}?tab=log`);
  await page.getByText("This job is gone with the old log").waitFor();
  await page.goBack();
  await page.getByText("No job matches").waitFor();
  await page.goForward();
  await page.getByText("This job is gone with the old log").waitFor();
  expect(about(asked, [id])).toEqual([]);
  await page.getByRole("link", { name: "Jobs", exact: true }).click();
  await page.locator(`[role=row][data-job-id="${fresh.id}"]`).click();
  await page.locator(`main [data-job-id="${fresh.id}"]`).waitFor();
});

test("a request that is on its way is ended, and not sent again", async () => {
  const ids = await old(2);
  const [id = ""] = ids;
  const page = await play.tab();
  const asked = [record(page)];
  const ended: string[] = [];
  page.on("requestfailed", (request) => ended.push(request.url()));
  const letGo: (() => void)[] = [];
  await page.goto(`/jobs/${id}`);
  await page.locator(`main [data-job-id="${id}"]`).waitFor();
  await page.locator('[data-connection="live"]').waitFor();
  // Nothing answers it: it is as long on its way as the server is away.
  await page.route("**/cancel", (route) => new Promise<void>((done) => letGo.push(() => void route.continue().catch(() => {}).then(done))));
  const sent = page.waitForRequest("**/cancel");
  await page.keyboard.press("c");
  await dialog(page).getByRole("button", { name: "Cancel the job" }).click();
  await sent;
  await reset([page], asked);
  await page.getByText("This job is gone with the old log").waitFor();
  await expect.poll(() => ended.some((url) => url.endsWith("/cancel"))).toBe(true);
  for (const go of letGo) go();
  expect(about(asked, ids)).toEqual([]);
});

test("a form that began with an old job keeps what was typed, and forgets the job", async () => {
  const ids = await old(2);
  const [from = "", waited = ""] = ids;
  const page = await play.tab();
  const asked = [record(page)];
  await page.goto(`/submit?from=${from}`);
  await page.getByText(from).waitFor();
  const advanced = page.locator("summary");
  if (!(await page.getByLabel("Tags").isVisible())) await advanced.click();
  await page.getByLabel("Tags").fill("typed");
  await page.getByLabel(/Depends on|Waits for/).fill(waited);
  await reset([page], asked);
  await page.waitForURL((url) => url.search === "");
  await page.getByRole("heading", { name: "Submit a job" }).waitFor();
  for (const id of ids) expect(await held(page)).not.toContain(id);
  await page.reload();
  await page.getByRole("heading", { name: "Submit a job" }).waitFor();
  for (const id of ids) expect(await held(page)).not.toContain(id);
  expect(about(asked, ids)).toEqual([]);
});

test("looking back and comparing end with the log, in the address as well", async () => {
  const ids = await old(3);
  const { seq } = await call<{ seq: number }>(play.daybook, "GET", "/health");
  const page = await play.tab();
  const other = await page.context().newPage();
  const pages = [page, other];
  const asked = pages.map(record);
  await page.goto(`/jobs?at=${seq}&to=${seq - 1}`);
  await dialog(page).getByText("Compare two moments").waitFor();
  await other.goto(`/jobs/${ids[0]}?at=${seq}`);
  await other.locator(`main [data-job-id="${ids[0]}"]`).waitFor();
  const fresh = await reset(pages, asked);
  for (const one of pages) await one.waitForURL((url) => url.search === "");
  await dialog(page).waitFor({ state: "detached" });
  await page.locator("[data-at]").waitFor({ state: "detached" });
  await seeState(page, fresh.id, "queued");
  await other.getByText("This job is gone with the old log").waitFor();
  expect(about(asked, ids)).toEqual([]);
  expect(asked.flat().filter((one) => /[?&]at=/.test(one))).toEqual([]);
  await picture(page, "reset-after-travel");
});

test("queues, workers and schedules show the new log, and a worker's old job is no link any more", async () => {
  const worker = await Worker.join(play.daybook, "old-hand", 2, ["handed"]);
  const job = await submit(play.daybook, { kind: "handed", queue: "gone-queue" });
  await worker.take();
  const tab = await play.tab();
  const pages = [tab, await tab.context().newPage(), await tab.context().newPage()];
  const asked = pages.map(record);
  for (const [at, path] of ["/workers", "/queues", "/history"].entries()) await pages[at]?.goto(path);
  await pages[0]?.locator(`[data-worker="${worker.session}"]`).getByTitle(`Job ${job.id}`).waitFor();
  await pages[1]?.locator('[data-queue="gone-queue"]').waitFor();
  const fresh = await reset(pages, asked);
  await pages[0]?.getByText("No workers", { exact: true }).waitFor();
  await pages[1]?.locator('[data-queue="gone-queue"]').waitFor({ state: "detached" });
  for (const page of pages) {
    await page.locator(`[data-active-job-id="${fresh.id}"]`).waitFor();
    expect(await held(page)).not.toContain(job.id);
  }
  expect(about(asked, [job.id])).toEqual([]);
});

test("a page that was open, closed, and comes back after the reset knows nothing of before", async () => {
  const ids = await old(2);
  const page = await play.tab();
  await page.goto("/jobs?kind=old");
  await seeState(page, ids[0] ?? "", "queued");
  await page.locator(`[data-active-job-id="${ids[0]}"]`).waitFor();
  await page.goto("about:blank");
  await play.restart("--reset-on-startup");
  const fresh = await submit(play.daybook, { kind: "new" });
  const asked = [record(page)];
  await page.goto("/jobs");
  await seeState(page, fresh.id, "queued");
  await told(page);
  for (const id of ids) expect(await held(page)).not.toContain(id);
  expect(about(asked, ids)).toEqual([]);
});

test("a search is made anew in the new log, and so is one that a restart met", async () => {
  const ids = await old(2, { tags: ["needle"] });
  const page = await play.tab();
  const asked = record(page);
  await page.goto("/jobs?q=needle");
  await seeState(page, ids[1] ?? "", "queued");
  await play.restart();
  await page.locator('[data-connection="restarted"]').waitFor();
  await page.reload();
  await seeState(page, ids[1] ?? "", "queued");
  await reset([page], [asked]);
  await page.getByText("No job matches").waitFor();
  expect(await page.getByRole("main").getByRole("alert").count()).toBe(0);
  expect(about([asked], ids)).toEqual([]);
  const fresh = await submit(play.daybook, { kind: "found", tags: ["needle"] });
  await page.getByRole("button", { name: /new jobs?$/ }).click();
  await seeState(page, fresh.id, "queued");
});
