// A day's work by keys alone, without a pointer: submit, find, open, cancel, retry, look back, and manage the rest. At each
// step the focus is where a person sees it.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import type { JobBody } from "../src/api/types.gen.ts";
import { focusTrouble, tabTo } from "./support/focus.ts";
import { row, stage } from "./support/stage.ts";
import { call, submit, Worker } from "./support/worker.ts";

const SCHEMA = {
  title: "Draw",
  type: "object",
  properties: { prompt: { title: "Prompt", type: "string", minLength: 1 }, steps: { title: "Steps", type: "integer", default: 8 } },
  required: ["prompt"],
};
const play = stage({ config: '[kinds.draw]\nschema = "draw.json"\n', files: { "draw.json": JSON.stringify(SCHEMA) } });
const seen = async (page: Page): Promise<void> => expect(await focusTrouble(page)).toBeNull();
const live = (page: Page) => page.locator('[data-connection="live"]').waitFor();
const dialog = (page: Page) => page.locator("dialog[open]");
const keys = async (page: Page, ...all: readonly string[]): Promise<void> => {
  for (const key of all) await page.keyboard.press(key);
};

/** Nothing in this file may use a pointer. */
async function tab(): Promise<Page> {
  const page = await play.tab();
  await page.addInitScript(() => {
    for (const name of ["pointerdown", "mousedown"]) addEventListener(name, () => console.error("a pointer was used"), true);
  });
  return page;
}

test("a job is submitted from the form, found in the list, opened, cancelled and retried by keys", async () => {
  const page = await tab();
  await page.goto("/jobs");
  await live(page);
  await keys(page, "g", "n");
  await page.waitForURL("**/submit");
  await page.getByLabel("Prompt").waitFor();
  await seen(page);
  await tabTo(page, '[id="field/args/prompt"]');
  await page.keyboard.type("a lighthouse by keys");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/jobs\/[0-9a-f-]+$/);
  const id = new URL(page.url()).pathname.split("/").at(-1) ?? "";
  await page.locator(`main [data-job-id="${id}"][data-state="queued"]`).waitFor();
  await seen(page);

  await keys(page, "g", "j");
  await page.waitForURL("**/jobs");
  await row(page, id).waitFor();
  await seen(page);
  await keys(page, "/");
  await page.keyboard.type("lighthouse");
  await page.waitForURL("**/jobs?q=lighthouse");
  await seen(page);
  await row(page, id).waitFor();
  await keys(page, "Escape", "j");
  await expect.poll(() => page.evaluate(() => (document.activeElement as HTMLElement).dataset.jobId)).toBe(id);
  await seen(page);
  await keys(page, "Enter");
  await page.waitForURL(`**/jobs/${id}`);
  await page.locator(`main [data-job-id="${id}"]`).waitFor();
  await seen(page);

  await keys(page, "c");
  await dialog(page).waitFor();
  await seen(page);
  await keys(page, "Escape");
  await dialog(page).waitFor({ state: "detached" });
  await seen(page);
  expect((await call<JobBody>(play.daybook, "GET", `/api/jobs/${id}`)).state).toBe("queued");
  await keys(page, "c");
  await dialog(page).waitFor();
  await tabTo(page, "dialog[open] input[type=checkbox]");
  await keys(page, " ");
  await tabTo(page, "dialog[open] footer button:last-child");
  await keys(page, "Enter");
  await page.locator(`main [data-job-id="${id}"][data-state="cancelled"]`).waitFor();
  await dialog(page).waitFor({ state: "detached" });
  await seen(page);

  await keys(page, "r");
  await dialog(page).waitFor();
  await seen(page);
  await keys(page, "Enter");
  await page.locator(`main [data-job-id="${id}"][data-state="queued"]`).waitFor();
  await dialog(page).waitFor({ state: "detached" });
  await seen(page);
});

test("jobs are selected, cancelled and retried many at once by keys", async () => {
  for (let n = 0; n < 4; n++) await submit(play.daybook, { kind: "many", args: { n } });
  const page = await tab();
  await page.goto("/jobs?kind=many");
  await page.getByRole("grid", { name: "Jobs" }).getByRole("row").nth(4).waitFor();
  await keys(page, "j", "x", "Shift+ArrowDown", "Shift+ArrowDown");
  await page.getByText("3 selected").waitFor();
  await seen(page);
  await keys(page, "c");
  await dialog(page).getByText("3 jobs would be cancelled.").waitFor();
  await seen(page);
  await keys(page, "Enter");
  await page.getByRole("status").filter({ hasText: "3 jobs cancelled" }).waitFor();
  await dialog(page).waitFor({ state: "detached" });
  await seen(page);
  await keys(page, "Shift+ArrowUp", "r");
  await dialog(page).getByText(/would be queued again/).waitFor();
  await keys(page, "Enter");
  await page.getByRole("status").filter({ hasText: /queued again/ }).first().waitFor();
  await keys(page, "Escape");
  await seen(page);
});

test("the past is looked at, walked and left by keys, and nothing there can be changed", async () => {
  const job = await submit(play.daybook, { kind: "was" });
  const page = await tab();
  await page.goto(`/jobs/${job.id}`);
  await page.locator(`main [data-job-id="${job.id}"]`).waitFor();
  await live(page);
  await keys(page, "t");
  await page.waitForURL(/\?at=\d+/);
  await page.getByRole("region", { name: "Time travel" }).waitFor();
  await seen(page);
  const at = (): number => Number(new URL(page.url()).searchParams.get("at"));
  const from = at();
  await keys(page, "[");
  await page.waitForURL(`**?at=${from - 1}`);
  await keys(page, "]");
  await page.waitForURL(`**?at=${from}`);
  await tabTo(page, "[role=slider]");
  await keys(page, "ArrowLeft");
  await page.waitForURL(`**?at=${from - 1}`);
  await seen(page);
  await keys(page, "ArrowRight");
  await page.waitForURL(`**?at=${from}`);
  await keys(page, "c");
  expect(await dialog(page).count()).toBe(0);
  await keys(page, ".");
  await page.waitForURL((url) => url.search === "");
  await page.getByRole("region", { name: "Time travel" }).waitFor({ state: "detached" });
  await seen(page);
});

test("every page is reached by its keys and walked through with Tab, each stop in sight", async () => {
  const worker = await Worker.join(play.daybook, "by-keys", 1, ["held"]);
  await submit(play.daybook, { kind: "held", queue: "by-keys" });
  const lease = await worker.take();
  const page = await tab();
  await page.goto("/jobs");
  await live(page);
  for (const [key, path] of [["q", "/queues"], ["w", "/workers"], ["s", "/schedules"], ["h", "/history"], ["j", "/jobs"], ["n", "/submit"]] as const) {
    await keys(page, "g", key);
    await page.waitForURL(`**${path}`);
    await page.getByRole("main").getByRole("heading").first().waitFor();
    const stops = new Set<string>();
    let ends = 0;
    for (let n = 0; n < 80; n++) {
      await page.keyboard.press("Tab");
      const trouble = await focusTrouble(page);
      // From the end of the page to its head, and on until its end again.
      if (trouble?.includes("nowhere") === true && ++ends < 2) continue;
      if (ends === 2) break;
      expect(trouble, `${path}, Tab ${n + 1}`).toBeNull();
      stops.add(await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200) ?? ""));
    }
    expect(stops.size, path).toBeGreaterThan(3);
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  }
  await lease.complete(null);
});

test("a queue is paused and a worker made quiet by keys, and the focus stays at the button", async () => {
  const worker = await Worker.join(play.daybook, "calm", 1, ["nothing"]);
  await submit(play.daybook, { kind: "waits", queue: "halted" });
  const page = await tab();
  await page.goto("/queues");
  await page.locator('[data-queue="halted"]').waitFor();
  await tabTo(page, 'button[aria-label="Pause halted"]');
  await keys(page, "Enter");
  await page.locator('[data-queue="halted"][data-gate="paused"]').waitFor();
  await seen(page);
  await keys(page, "g", "w");
  await page.locator(`[data-worker="${worker.session}"]`).waitFor();
  await tabTo(page, 'button[aria-label="Quiet calm"]');
  await keys(page, "Enter");
  await dialog(page).waitFor();
  await seen(page);
  await tabTo(page, "dialog[open] button:last-child");
  await keys(page, "Enter");
  await page.locator(`[data-worker="${worker.session}"][data-state="quiet"]`).waitFor();
  await dialog(page).waitFor({ state: "detached" });
  // Its button cannot be pressed any more: the way goes on from where it stands.
  await keys(page, "Tab");
  expect(await page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toBe("Terminate calm");
});

test("menus, the help and the skip link work by keys, and shortcuts can be switched off", async () => {
  const page = await tab();
  await page.goto("/queues");
  await live(page);
  await keys(page, "Tab");
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the page");
  await seen(page);
  await keys(page, "Enter");
  expect(await page.evaluate(() => document.activeElement?.id)).toBe("main");
  await keys(page, "?");
  await dialog(page).waitFor();
  await seen(page);
  await tabTo(page, "dialog[open] input[type=checkbox]");
  await keys(page, " ", "Escape");
  await dialog(page).waitFor({ state: "detached" });
  await keys(page, "g", "j");
  expect(new URL(page.url()).pathname).toBe("/queues");
  await tabTo(page, 'button[aria-label="Theme"]');
  await keys(page, "Enter", "ArrowDown", "Enter");
  await expect.poll(() => page.evaluate(() => document.documentElement.dataset.theme)).toBe("dark");
  await seen(page);
});
