import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import type { ScheduleList } from "../src/api/types.gen.ts";
import { picture, pill, stage, violations } from "./support/stage.ts";
import { call } from "./support/worker.ts";

const play = stage({
  config: '[[schedules]]\nname = "nightly"\ncron = "30 2 * * MON-FRI"\ntime_zone = "Europe/Berlin"\njob = { kind = "comics", args = { folder = "/comics" } }\n\n[kinds.strict]\nschema = "strict.json"\n',
  files: { "strict.json": JSON.stringify({ type: "object", properties: { steps: { type: "integer" } }, required: ["steps"] }) },
});

const line = (page: Page, name: string) => page.locator(`[data-schedule="${name}"]`);
const form = (page: Page) => page.getByRole("dialog");

async function open(page: Page): Promise<void> {
  await page.goto("/schedules");
  await line(page, "nightly").waitFor();
}

test("a schedule of the configuration is read-only, and says so", async () => {
  const page = await play.tab();
  await open(page);
  await line(page, "nightly").getByText("Monday to Friday at 02:30").waitFor();
  await line(page, "nightly").getByText("Europe/Berlin").waitFor();
  await line(page, "nightly").getByText("Read-only: of the configuration").waitFor();
  expect(await line(page, "nightly").getByRole("button").count()).toBe(0);
});

test("a schedule is made, fires, is changed and is deleted", async () => {
  const page = await play.tab();
  await open(page);
  await page.keyboard.press("n");
  await form(page).getByLabel("Name").fill("often");
  await form(page).getByLabel("Cron").fill("* * * * *");
  await form(page).getByText("every minute").waitFor();
  await form(page).getByLabel("Time zone").fill("UTC");
  await form(page).getByLabel("Kind").fill("resize");
  await form(page).getByLabel("Args").fill('{"size": 3}');
  await page.keyboard.press("Tab");
  await form(page).getByRole("button", { name: "Create" }).click();
  await form(page).waitFor({ state: "hidden" });
  await line(page, "often").getByText("has not come yet").waitFor();

  await line(page, "often").locator('[data-outcome="submitted"]').waitFor({ timeout: 75_000 });
  await line(page, "often").getByRole("link", { name: "last job" }).click();
  await page.waitForURL("**/jobs/*");
  await page.getByRole("heading", { name: /resize/ }).first().waitFor();
  await page.goBack();

  await line(page, "often").getByRole("button", { name: "Edit often" }).click();
  expect(await form(page).getByLabel("Name").isDisabled()).toBe(true);
  await form(page).getByLabel("Cron").fill("@daily");
  await form(page).getByLabel("If the job before still runs").selectOption("replace");
  await form(page).getByRole("button", { name: "Save" }).click();
  await line(page, "often").getByText("every day at 00:00").waitFor();
  const { schedules } = await call<ScheduleList>(play.daybook, "GET", "/api/schedules");
  expect(schedules.find(({ name }) => name === "often")).toMatchObject({ cron: "@daily", overlap: "replace", job: { kind: "resize", args: { size: 3 } } });

  await line(page, "often").getByRole("button", { name: "Delete often" }).click();
  await page.getByRole("dialog", { name: "Delete often?" }).getByRole("button", { name: "Delete" }).click();
  await line(page, "often").waitFor({ state: "detached" });
  expect(await page.evaluate(() => document.activeElement?.id)).toBe("main");
}, 120_000);

test("what the server finds wrong comes to its field, and the first of them gets the focus", async () => {
  const page = await play.tab();
  await open(page);
  await page.getByRole("button", { name: "New schedule" }).click();
  await form(page).getByLabel("Name").fill("broken");
  await form(page).getByLabel("Cron").fill("every day");
  await form(page).getByLabel("Time zone").fill("Mars/Olympus");
  await form(page).getByLabel("Kind").fill("strict");
  await form(page).getByLabel("Args").fill('{"steps": "three"}');
  await form(page).getByRole("button", { name: "Create" }).click();
  await form(page).getByText(/must have five/).waitFor();
  for (const label of ["Cron", "Time zone", "Args"]) expect(await form(page).getByLabel(label).getAttribute("aria-invalid"), label).toBe("true");
  expect(await form(page).getByLabel("Kind").getAttribute("aria-invalid")).toBeNull();
  await form(page).getByText(/\/steps/).waitFor();
  expect(await form(page).getByLabel("Cron").evaluate((node) => node === document.activeElement)).toBe(true);
  await picture(page, "schedule-form-errors");
  expect(await violations(page)).toEqual([]);

  await form(page).getByLabel("Args").fill("{steps}");
  await form(page).getByRole("button", { name: "Create" }).click();
  await form(page).getByText(/This is not JSON/).waitFor();

  await form(page).getByLabel("Name").fill("nightly");
  await form(page).getByLabel("Cron").fill("@daily");
  await form(page).getByLabel("Time zone").fill("UTC");
  await form(page).getByLabel("Args").fill('{"steps": 3}');
  await form(page).getByRole("button", { name: "Create" }).click();
  await form(page).getByText(/belongs to the configuration/).waitFor();
  await page.keyboard.press("Escape");
  await form(page).waitFor({ state: "hidden" });
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("New schedule");
});

test.each([
  ["desk", "light"],
  ["desk", "dark"],
  ["phone", "light"],
  ["phone", "dark"],
] as const)("no barriers, nothing scrolls sideways: %s, %s", async (size, theme) => {
  await call(play.daybook, "PUT", "/api/schedules/weekly-report-of-everything-that-happened-and-more", {
    cron: "*/7 3 * * MON#2",
    time_zone: "America/Argentina/Buenos_Aires",
    job: { kind: "report", args: { recipients: ["everyone@example.org", "someone@example.org"], text: "a long text that goes on and on and on" }, priority: 7, queue: "mail" },
  });
  const page = await play.tab({ size, theme });
  await open(page);
  await pill(page).waitFor();
  await picture(page, `schedules-${size}-${theme}`);
  expect(await violations(page)).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  await page.getByRole("button", { name: "Edit weekly-report-of-everything-that-happened-and-more" }).click();
  await form(page).getByRole("textbox", { name: /^Job/ }).waitFor();
  await picture(page, `schedule-form-${size}-${theme}`);
  expect(await violations(page)).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
});
