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
