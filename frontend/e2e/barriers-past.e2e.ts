// Every page in the past, on a phone, full of long things, in both themes: no barrier that axe knows of (WCAG 2.1
// AA), nothing sideways, nothing that the policy refuses.

import { beforeAll, expect, test } from "vitest";
import { noBarriers, watchPolicy } from "./support/barriers.ts";
import { fill, FULL_CONFIG, openFull, type Full } from "./support/full.ts";
import { picture, stage } from "./support/stage.ts";

const play = stage({ config: FULL_CONFIG });
let full: Full;
beforeAll(async () => {
  full = await fill(play.daybook);
});

test.each(["light", "dark"] as const)("every page in the past, on a phone (%s)", async (theme) => {
  const page = await play.tab({ size: "phone", theme });
  const refused = await watchPolicy(page);
  for (const path of ["/jobs", `/jobs/${full.job}`, "/queues", "/workers", "/schedules", "/history", "/submit"]) {
    await openFull(page, `${path}?at=${full.seq}`, full);
    await page.locator(`[data-event-seq="${full.seq}"]`).waitFor();
    await noBarriers(page, `${path} in the past`);
  }
  await picture(page, `barriers-phone-${theme}-past`);
  expect(refused).toEqual([]);
});
