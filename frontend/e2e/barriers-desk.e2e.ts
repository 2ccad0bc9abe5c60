// Every page in a large window, full of long things, in both themes: no barrier that axe knows of (WCAG 2.1 AA),
// nothing sideways, nothing that the policy refuses. Also at twice the size, and on the narrowest phone.

import { beforeAll, expect, test } from "vitest";
import { noBarriers, sideways, watchPolicy } from "./support/barriers.ts";
import { fill, FULL_CONFIG, openFull, PAGES, TABS, type Full } from "./support/full.ts";
import { stage } from "./support/stage.ts";

const play = stage({ config: FULL_CONFIG });
let full: Full;
beforeAll(async () => {
  full = await fill(play.daybook);
});

test.each(["light", "dark"] as const)("every page in a large window (%s)", async (theme) => {
  const page = await play.tab({ theme });
  const refused = await watchPolicy(page);
  for (const path of PAGES) {
    await openFull(page, path, full);
    await noBarriers(page, path);
  }
  expect(refused).toEqual([]);
});

test("at twice the size, and on the narrowest phone, nothing scrolls sideways", async () => {
  const page = await play.tab();
  for (const viewport of [{ width: 640, height: 400 }, { width: 320, height: 568 }]) {
    await page.setViewportSize(viewport);
    for (const path of [...PAGES, `/jobs?at=${full.seq}`, ...TABS.map((tab) => `/jobs/${full.job}?tab=${tab}`)]) {
      await openFull(page, path, full);
      expect(await sideways(page), `${path} at ${viewport.width}`).toEqual([]);
    }
  }
});

test("in a low window the whole scrolls, and a list of the past has rows in it; no word runs into another, no column is cut", async () => {
  const page = await play.tab();
  for (const viewport of [{ width: 640, height: 400 }, { width: 740, height: 360 }]) {
    await page.setViewportSize(viewport);
    await openFull(page, `/jobs?at=${full.seq}`, full);
    await page.getByRole("slider", { name: "Moment in the log" }).waitFor();
    const row = page.getByRole("grid").locator("[data-job-id]").first();
    await row.focus();
    expect(await row.evaluate((node) => node.getBoundingClientRect().bottom <= innerHeight && node.getBoundingClientRect().top > 0), `${viewport.width}`).toBe(true);
    const cut = await page.getByRole("navigation").evaluate((nav) => [...nav.querySelectorAll("a")].filter((link) => link.scrollWidth > link.clientWidth).length);
    expect(cut, `${viewport.width}`).toBe(0);
    await openFull(page, "/schedules", full);
    const over = await page.locator("[data-schedule]").evaluateAll((rows) => rows.filter((one) => one.getBoundingClientRect().right > innerWidth).length);
    expect(over, `${viewport.width}`).toBe(0);
  }
});
