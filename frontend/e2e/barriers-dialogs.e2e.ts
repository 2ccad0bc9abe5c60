// Whatever opens over a page: dialogs, menus, notices. No barrier that axe knows of, in both themes, in a large window and on
// a phone, and nothing that the policy refuses.

import { beforeAll, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { noBarriers, watchPolicy } from "./support/barriers.ts";
import { picture, row, stage } from "./support/stage.ts";
import { call, submit, Worker } from "./support/worker.ts";

// The worker does not beat: its lease lasts.
const play = stage({ config: "lease_s = 600\n" });
const dialog = (page: Page) => page.locator("dialog[open]");
let waiting = "";
let failed = "";
let worker: Worker;

beforeAll(async () => {
  worker = await Worker.join(play.daybook, "dialog-worker", 2, ["dialog-fail"]);
  failed = (await submit(play.daybook, { kind: "dialog-fail", max_attempts: 1, items: [{ key: "a" }, { key: "b" }] })).id;
  const lease = await worker.take();
  await lease.items({ key: "a", state: "failed", error: { code: "broken", message: "no ink" } });
  await lease.fail("no ink");
  waiting = (await submit(play.daybook, { kind: "dialog-wait", tags: ["red"], queue: "dialogs" })).id;
  await call(play.daybook, "PUT", "/api/schedules/nightly", { cron: "@daily", time_zone: "UTC", job: { kind: "report", args: {} } });
});

interface Opened {
  readonly name: string;
  readonly path: () => string;
  readonly open: (page: Page) => Promise<void>;
}

const more = (page: Page, item: string) => page.getByRole("button", { name: "More actions" }).click().then(() => page.getByRole("menuitem", { name: item }).click());

const ALL: readonly Opened[] = [
  { name: "help", path: () => "/queues", open: (page) => page.keyboard.press("?") },
  { name: "cancel", path: () => `/jobs/${waiting}`, open: (page) => page.keyboard.press("c") },
  { name: "change", path: () => `/jobs/${waiting}`, open: (page) => more(page, "Change …") },
  { name: "retry", path: () => `/jobs/${failed}`, open: (page) => page.keyboard.press("r") },
  { name: "purge", path: () => `/jobs/${failed}`, open: (page) => more(page, "Purge …") },
  { name: "item", path: () => `/jobs/${failed}?tab=items`, open: (page) => page.locator("[data-item='a']").click() },
  { name: "quiet", path: () => "/workers", open: (page) => page.getByRole("button", { name: "Quiet dialog-worker" }).click() },
  { name: "terminate", path: () => "/workers", open: (page) => page.getByRole("button", { name: "Terminate dialog-worker" }).click() },
  { name: "schedule", path: () => "/schedules", open: (page) => page.keyboard.press("n") },
  { name: "delete", path: () => "/schedules", open: (page) => page.getByRole("button", { name: "Delete nightly" }).click() },
  { name: "compare", path: () => "/jobs?at=3", open: (page) => page.getByRole("button", { name: "Compare" }).click() },
];

async function ready(page: Page): Promise<void> {
  await page.locator('[data-connection="live"]').waitFor();
  await page.locator("main [data-job-id], main [data-queue], main [data-worker], main [data-schedule], main [data-item]").first().waitFor();
}

test.each([
  ["light", "desk"],
  ["dark", "desk"],
  ["light", "phone"],
  ["dark", "phone"],
] as const)("every dialog (%s, %s)", async (theme, size) => {
  const page = await play.tab({ theme, size });
  const refused = await watchPolicy(page);
  for (const { name, path, open } of ALL) {
    await page.goto(path());
    await ready(page);
    await open(page);
    await dialog(page).waitFor();
    await dialog(page).getByText("Loading").waitFor({ state: "detached" });
    await noBarriers(page, name);
    await picture(page, `dialog-${name}-${size}-${theme}`);
    await page.keyboard.press("Escape");
    await dialog(page).waitFor({ state: "detached" });
  }
  expect(refused).toEqual([]);
});

test.each(["light", "dark"] as const)("menus, a selection with its bar, many at once, and what went wrong (%s)", async (theme) => {
  const page = await play.tab({ theme });
  const refused = await watchPolicy(page);
  await page.goto("/jobs");
  await row(page, waiting).waitFor();
  await page.getByRole("button", { name: "Theme" }).click();
  await page.getByRole("menuitemradio").first().waitFor();
  await noBarriers(page, "theme menu");
  await page.keyboard.press("Escape");
  await row(page, waiting).getByRole("checkbox").click();
  await page.getByText("1 selected").waitFor();
  await noBarriers(page, "selection");
  await page.keyboard.press("c");
  await dialog(page).getByText("1 job would be cancelled.").waitFor();
  await noBarriers(page, "bulk");
  await page.keyboard.press("Escape");
  await page.goto(`/jobs/${waiting}`);
  await page.locator(`main [data-job-id="${waiting}"]`).waitFor();
  await page.getByRole("button", { name: "More actions" }).click();
  await noBarriers(page, "job menu");
  await page.keyboard.press("Escape");
  await page.route("**/cancel", (route) => route.fulfill({ status: 503, contentType: "application/problem+json", body: JSON.stringify({ code: "overloaded", title: "Overloaded", status: 503, detail: "too much to do", hint: "Try again soon." }) }));
  await page.locator(`[data-active-job-id="${waiting}"]`).getByRole("button", { name: /^Cancel/ }).click();
  await page.getByRole("alert").filter({ hasText: "too much to do" }).waitFor();
  await noBarriers(page, "error notice");
  await picture(page, `notice-error-${theme}`);
  expect(refused).toEqual([]);
});
